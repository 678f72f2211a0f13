"""Records of what a runtime takes, and of files that were made for one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from nfkit.reports.provenance import Provenance
from nfkit.reports.rendering import Overview, Readable, Table

Kind = Literal["operator", "type", "opset", "branch", "softmax", "padding", "batch"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something in a model that a runtime does not take as it is.

    Attributes:
        kind: What it is about.
        where: The node, tensor or input.
        what: What is there.
        way_out: What export does about it; for what is refused, what a user can do.
        refused: Whether export cannot help.
    """

    kind: Kind
    where: str
    what: str
    way_out: str
    refused: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.way_out}"


class Parity(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answers of a file in its runtime, against those of the model in ONNX Runtime.

    Attributes:
        runtime: The runtime and its version.
        samples: How many were compared.
        equal: How many answers are the same.
        difference: Largest difference between scores.
        here: Accuracy of the model in ONNX Runtime; None without labels.
        there: Accuracy of the file in its runtime; None without labels.
    """

    runtime: str
    samples: int
    equal: int
    difference: float
    here: float | None = None
    there: float | None = None

    def __str__(self) -> str:
        same = f"{self.equal} of {self.samples} answers equal, largest difference {self.difference:.3g}"
        if self.here is None or self.there is None:
            return f"{self.runtime}: {same}"
        return f"{self.runtime}: {same}; accuracy {100 * self.there:.1f} % against {100 * self.here:.1f} %"


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model held against one target.

    Attributes:
        target: The target.
        findings: What it does not take as it is.
        parity: What came out when the file for it was run; None where it was not.
        note: Why it was not run.
        failure: What went wrong when it was.
    """

    target: str
    findings: tuple[Finding, ...] = ()
    parity: Parity | None = None
    note: str = ""
    failure: str = ""

    @property
    def refused(self) -> bool:
        """Whether the target does not take the model, whatever is changed."""
        return any(finding.refused for finding in self.findings)

    @property
    def state(self) -> str:
        """In a word or two."""
        if self.refused:
            return "refused"
        if self.failure:
            return "fails"
        changes = len(self.findings)
        return f"after {changes} change{'s' * (changes > 1)}" if changes else "as it is"


class Check(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.check/1"):
    """A model held against targets.

    Attributes:
        checked: One entry a target.
        provenance: Of model, and of samples where some were run.
        command: The command, if one made it.
    """

    checked: tuple[Checked, ...]
    provenance: Provenance | None = None
    command: str | None = None

    def overview(self) -> Overview:
        """See `nfkit.reports.rendering.Readable`."""
        notes = [
            f"{entry.target}: {line}"
            for entry in self.checked
            for line in (*map(str, entry.findings), *filter(None, [entry.note, entry.failure]))
        ]
        return Overview("", "what each target takes", self.table(), tuple(notes))

    def table(self) -> Table:
        """See `nfkit.reports.rendering.Readable`."""
        rows = []
        for entry in self.checked:
            at = entry.parity
            ran = ("not run", "") if at is None else (f"{at.equal} of {at.samples}", f"{at.difference:.3g}")
            rows.append((entry.target, entry.state, *ran))
        return Table(("target", "takes it", "equal answers", "largest difference"), tuple(rows))


class Export(Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.export/1"):
    """Files that were made for a target.

    Attributes:
        outputs: The files.
        checked: What was changed, and how they answer.
        provenance: Of model, and of samples where some were run.
        command: The command, if one made them.
    """

    outputs: tuple[str, ...]
    checked: Checked
    provenance: Provenance | None = None
    command: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""
        return tuple(map(Path, self.outputs))

    def overview(self) -> Overview:
        """See `nfkit.reports.rendering.Readable`."""
        at = self.checked
        title = str(at.parity) if at.parity else at.note
        unchanged = "" if at.findings else "; nothing had to change"
        return Overview(f"{', '.join(self.outputs)}: for {at.target}{unchanged}", title, self.table())

    def table(self) -> Table:
        """See `nfkit.reports.rendering.Readable`."""
        rows = [(finding.where, finding.what, finding.way_out) for finding in self.checked.findings]
        return Table(("changed", "was", "is"), tuple(rows)) if rows else Table((), ())
