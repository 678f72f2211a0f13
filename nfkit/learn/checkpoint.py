"""The state of a training run, kept in one file, so that a killed run goes on where it was."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nfkit.learn.optimiser import Optimiser
from nfkit.model import write_atomically

_PROGRESS = ("phase", "step", "reports", "seconds", "best", "score", "clean", "perturbed")


@dataclass
class Checkpoint:
    """Where a run stands.

    Attributes:
        path: File to save to; None keeps the state in memory only.
        settings: What the run depends on. A file of other settings is not continued.
        phase: Index of the phase.
        step: Steps done in all.
        reports: Number of measurements due so far.
        seconds: Time spent training, over all sittings.
        best: State of the best generator so far; empty before the first measurement.
        score: Its score; `clean` and `perturbed` are its held-out accuracies.
        resumed: Whether the run goes on from a file.
    """

    path: Path | None
    settings: dict[str, Any]
    phase: int = 0
    step: int = 0
    reports: int = 0
    seconds: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    score: float = -1.0
    clean: float = 0.0
    perturbed: float = 0.0
    resumed: bool = False
    _optimiser: list[dict[str, Any]] | None = None

    @classmethod
    def resume(cls, path: Path | None, settings: dict[str, Any], losses: nn.Module) -> Checkpoint:
        """Starts a run, or goes on with the one in the file if that has the same settings."""
        fresh = cls(path, settings)
        if path is None or not path.is_file():
            return fresh
        try:
            # weights_only: a checkpoint is data, and must not be able to run code.
            stored = torch.load(path, weights_only=True)
            if stored["settings"] != _canonical(settings):
                return fresh
            progress = {name: stored[name] for name in _PROGRESS}
            optimiser = stored["optimiser"]
            losses.load_state_dict(stored["losses"])
        except Exception:  # a damaged or foreign file: start anew, it will be replaced
            return fresh
        return cls(path, settings, **progress, resumed=True, _optimiser=optimiser)

    def restore(self, optimiser: Optimiser) -> None:
        """Gives a resumed phase its optimiser's state back, once."""
        if self._optimiser is not None:
            optimiser.load_state_dict(self._optimiser)
            self._optimiser = None

    def judge(self, generator: nn.Module, score: float, clean: float, perturbed: float) -> None:
        """Keeps the generator if it is the best so far."""
        if score > self.score:
            self.best = {k: v.detach().cpu().clone() for k, v in generator.state_dict().items()}
            self.score, self.clean, self.perturbed = score, clean, perturbed

    def save(self, losses: nn.Module, optimiser: Optimiser | None) -> None:
        """Writes the file anew, atomically."""
        if self.path is None:
            return
        buffer = io.BytesIO()
        torch.save(
            {
                "settings": _canonical(self.settings),
                "losses": losses.state_dict(),
                "optimiser": optimiser.state_dict() if optimiser else None,
                **{name: getattr(self, name) for name in _PROGRESS},
            },
            buffer,
        )
        write_atomically(self.path, buffer.getvalue())


def _canonical(settings: dict[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)
