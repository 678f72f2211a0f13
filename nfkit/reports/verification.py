"""The record of a verification: one entry a check, and what follows from all of them."""

from __future__ import annotations

from typing import Literal

import msgspec

from nfkit.reports.figures import Spread
from nfkit.reports.rendering import Overview, Readable, Table

Outcome = Literal["proven", "wrong", "open"]

_MARKS: dict[Outcome, str] = {"proven": "✓", "wrong": "✗", "open": "?"}
_EXIT_CODES: dict[Outcome, int] = {"proven": 0, "wrong": 1, "open": 3}


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        name: What it is.
        outcome: `proven`; `wrong` where it contradicts what it should be; `open` where nothing says what it should be.
        finding: What was found, in a sentence without its end.
    """

    name: str
    outcome: Outcome
    finding: str

    def line(self) -> str:
        """The check in one line."""
        return f"{_MARKS[self.outcome]} {self.name}: {self.finding}"


class Remeasured(msgspec.Struct, frozen=True):
    """A recorded figure, measured again.

    Attributes:
        ber: Bit error rate.
        what: Whose accuracy: `base` or `protected`.
        recorded: What the file states.
        measured: What was found.
    """

    ber: float
    what: str
    recorded: Spread
    measured: Spread

    @property
    def outcome(self) -> Outcome:
        """Whether the new mean lies in the recorded interval; open where only its own interval reaches that."""
        if self.recorded.ci95 is None:
            return "open"
        (low, high), mean = self.recorded.ci95, self.measured.mean
        if low <= mean <= high:
            return "proven"
        reach = self.measured.ci95 or (mean, mean)
        return "open" if reach[0] <= high and low <= reach[1] else "wrong"


class Verification(
    Readable, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="nfkit.verify/1"
):  # fmt: skip
    """What could be proven of a file.

    Attributes:
        path: The file.
        sha256: Digest of its bytes.
        checks: What was looked at, in order.
        figures: Recorded figures that were measured again.
        versions: Versions that numbers depend on.
        command: The command line behind the record, if there was one.
    """

    path: str
    sha256: str
    checks: tuple[Check, ...]
    figures: tuple[Remeasured, ...] = ()
    versions: dict[str, str] = msgspec.field(default_factory=dict)
    command: str | None = None

    @property
    def outcome(self) -> Outcome:
        """`wrong` if any check is; else `open` if any is."""
        found = {check.outcome for check in self.checks}
        return "wrong" if "wrong" in found else "open" if "open" in found else "proven"

    @property
    def exit_code(self) -> int:
        """0 where everything is proven, 1 where something is wrong, 3 where something could not be proven."""
        return _EXIT_CODES[self.outcome]

    @property
    def sentence(self) -> str:
        """What follows."""
        names = ", ".join(check.name for check in self.checks if check.outcome == self.outcome)
        if self.outcome == "proven":
            return f"{self.path}: proven"
        if self.outcome == "wrong":
            return f"{self.path}: do not use it, not as it should be: {names}"
        return f"{self.path}: nothing is wrong, and not everything could be proven: {names}"

    def overview(self) -> Overview:
        """One line a check."""
        rows = tuple(
            (
                f"{_MARKS[figure.outcome]} {100 * figure.ber:g} %", figure.what,
                figure.recorded.percent(), figure.recorded.interval(), figure.measured.percent(),
            )
            for figure in self.figures
        )  # fmt: skip
        columns = ("bit error rate", "accuracy in % of", "recorded", "95 % interval", "measured") if rows else ()
        return Overview(self.sentence, "\n".join(check.line() for check in self.checks), Table(columns, rows))

    def table(self) -> Table:
        """One row a check."""
        rows = tuple((check.name, check.outcome, check.finding) for check in self.checks)
        return Table(("check", "outcome", "finding"), rows)
