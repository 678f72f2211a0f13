"""The state of a training run, kept in one file, so that a killed run goes on where it was.

The file is a line that names the form, a line with the SHA-256 of what follows, and torch's own archive. A file whose
digest does not match is not read any further: half a state would train on as if it were whole.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nfkit.errors import ModelError
from nfkit.learn.optimiser import Optimiser
from nfkit.outputs import write_atomically
from nfkit.version import __version__

Mark = tuple[str, int, float, float, float | None, float | None]

_FORM = b"nfkit.checkpoint/2"
_PROGRESS = ("phase", "step", "reports", "seconds", "best", "score", "clean", "perturbed", "course")


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
        course: The run so far: (phase, step, share of the budget, loss, clean and perturbed accuracy or None) by turns.
        resumed: Whether the run goes on from a file.
        note: What became of a file that was there, as a sentence; None where there was none.
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
    course: list[Mark] = field(default_factory=list)
    resumed: bool = False
    note: str | None = None
    _optimiser: list[dict[str, Any]] | None = None

    @classmethod
    def resume(cls, path: Path | None, settings: dict[str, Any], losses: nn.Module) -> Checkpoint:
        """Starts a run, or goes on with the one in the file if that is whole and has the same settings.

        `note` says which. The losses are as they were where a run starts.
        """
        fresh = cls(path, settings)
        if path is None or not path.is_file():
            return fresh
        before = {name: tensor.detach().clone() for name, tensor in losses.state_dict().items()}
        try:
            stored = _read(path)
            if stored["settings"] != _canonical(settings):
                raise _UnfitError("belongs to other settings, another model, other data or another version of nfkit")
            progress = {name: stored[name] for name in _PROGRESS}
            if any(type(value) is not type(getattr(fresh, name)) for name, value in progress.items()):
                raise _UnfitError("is damaged")
            losses.load_state_dict(stored["losses"])
            optimiser = stored["optimiser"]
        except Exception as error:  # whatever is wrong with it: the run starts anew, and replaces the file
            losses.load_state_dict(before)
            reason = str(error) if isinstance(error, _UnfitError) else "is damaged"
            fresh.note = f"the checkpoint {path.name} {reason}: starting anew"
            return fresh
        note = f"going on from step {progress['step']} of an earlier run ({path.name})"
        return cls(path, settings, **progress, resumed=True, note=note, _optimiser=optimiser)

    def restore(self, optimiser: Optimiser) -> None:
        """Gives a resumed phase its optimiser's state back, once.

        Raises:
            ModelError: When the state is that of other parameters.
        """
        if self._optimiser is not None:
            try:
                optimiser.load_state_dict(self._optimiser)
            except Exception as error:
                raise ModelError(f"the checkpoint '{self.path}' does not fit this run: delete it") from error
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
        content = buffer.getvalue()
        write_atomically(self.path, b"\n".join([_FORM, _digest(content), content]))


class _UnfitError(Exception):
    """Why a file is not continued; a clause that goes on from its name."""


def _read(path: Path) -> dict[str, Any]:
    form, _, rest = path.read_bytes().partition(b"\n")
    digest, _, content = rest.partition(b"\n")
    if form != _FORM or digest != _digest(content):
        raise _UnfitError("is damaged, or was written by another version of nfkit")
    # weights_only: a checkpoint is data, and must not be able to run code.
    stored: dict[str, Any] = torch.load(io.BytesIO(content), weights_only=True)
    return stored


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _canonical(settings: dict[str, Any]) -> str:
    return json.dumps({**settings, "nfkit": __version__, "torch": torch.__version__}, sort_keys=True)
