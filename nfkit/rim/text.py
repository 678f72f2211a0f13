"""Text as some editors and shells write it: with a mark of its encoding in front, which none of nfkit's formats has."""

from __future__ import annotations

import codecs

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def as_utf8(content: bytes) -> bytes:
    r"""The same text in UTF-8 without a mark; what has no mark stays as it is.

    Examples:
        >>> as_utf8("µ".encode("utf-16"))
        b'\xc2\xb5'

    Raises:
        UnicodeDecodeError: When it is no text of the encoding that its mark says.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), None)
    return content if encoding is None else content.decode(encoding).encode("utf-8", "surrogatepass")
