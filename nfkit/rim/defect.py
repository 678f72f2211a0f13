"""What the parts of the gate raise among themselves; the gate says of which model."""

from __future__ import annotations


class DefectError(Exception):
    """One defect of a model.

    Args:
        what: What is wrong, and where.
        remedy: What to do about it.
    """

    def __init__(self, what: str, remedy: str = "export it again, or check the download") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy
