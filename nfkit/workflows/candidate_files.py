"""Where a search keeps a candidate, and whether what lies there was made with the same settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nfkit.errors import DataError, OptionError
from nfkit.model import sha256
from nfkit.reports import reading
from nfkit.reports.protection import Protection
from nfkit.workflows.protection import checkpoint_of

if TYPE_CHECKING:
    from nfkit.learn.config import TrainConfig


@dataclass(frozen=True)
class CandidateFile:
    """Where a candidate is kept, and the settings that it is made with.

    Attributes:
        output: The fused file.
        config: Training settings.
        settings: All that it depends on, as a record states it.
    """

    output: Path
    config: TrainConfig
    settings: dict[str, Any]

    @classmethod
    def of(cls, source: Path, folder: Path, config: TrainConfig, shared: dict[str, Any]) -> CandidateFile:
        """That of a generator, beside those of others.

        Args:
            source: The frozen model's file.
            folder: That of the search.
            config: Training settings.
            shared: What all candidates of the search depend on.
        """
        output = folder / f"{source.name.removesuffix('.onnx')}.{config.generator}.nf.onnx"
        settings = {**shared, **config.to_dict()}
        return cls(output, config, json.loads(json.dumps(settings)))  # as a record states it: lists for tuples

    @property
    def path(self) -> Path:
        """The record beside the file."""
        return self.output.with_suffix(".json")

    def read(self) -> Protection | None:
        """The record; None where there is none that can be read."""
        try:
            return reading.read_as(self.path, Protection)
        except DataError:
            return None

    def check(self, force: bool) -> None:
        """Refuses to replace what was made with other settings.

        Raises:
            OptionError: When the file is another's, or was changed.
        """
        if force or not self.output.exists() or checkpoint_of(self.output).exists():  # the last: ended half-way
            return
        record = self.read()
        made = record.search if record is not None else None
        if record is None or made is None:
            raise OptionError(
                f"'{self.output}' exists without the record of a search: choose another folder or --force"
            )
        differing = [name for name in self.settings if made.get(name) != self.settings[name]]
        if differing:
            raise OptionError(
                f"'{self.output}' was made with other settings ({', '.join(differing)}): choose another folder, or "
                "give --force to train such candidates anew"
            )
        if not self._is_whole(record):
            raise OptionError(f"'{self.output}' was changed since the search made it: choose another folder or --force")

    def finished(self) -> Protection | None:
        """The record of a candidate that need not be trained again."""
        record = self.read()
        if record is None or not self.output.exists() or record.search != self.settings or record.interrupted:
            return None
        return record if self._is_whole(record) else None

    def _is_whole(self, record: Protection) -> bool:
        return record.evaluation.model.sha256 == sha256(self.output)
