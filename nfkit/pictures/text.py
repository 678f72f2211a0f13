"""Text from records and files, before it stands in a picture or a page: bounded, and without signs that mislead.

Names come from files of others. Whoever writes markup escapes it besides; here go control characters, which no page may
hold, and those that turn the direction of writing, which make a name read as another one.
"""

from __future__ import annotations

import re

LONGEST = 240
"""Characters of a name that are shown."""

_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ud800-\udfff\ufffe\uffff"
_DIRECTION = "\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069"
_MISLEADING = re.compile(f"[{_CONTROL}{_DIRECTION}]")


def shown(text: object, longest: int = LONGEST) -> str:
    """A text that can be shown: its beginning and its end, where it is longer than that."""
    said = str(text)
    if len(said) > longest:
        said = f"{said[: longest * 2 // 3]}…{said[-(longest // 3) :]}"
    return _MISLEADING.sub("�", said)
