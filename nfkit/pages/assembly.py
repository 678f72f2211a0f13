"""One HTML file out of a page's contents, its bytes and the runtime."""

from __future__ import annotations

import base64
import gzip
import re
from html import escape
from importlib.resources import files

import msgspec

from nfkit.pages.contents import Loaded
from nfkit.pages.web_runtime import WebRuntime

_SCRIPTS = ("chip.js", "session.js", "modes.js", "page.js")
_MARK = re.compile(r"<!--nfkit:(\w+)-->")


def assemble(loaded: Loaded, runtime: WebRuntime) -> bytes:
    """Writes the page: a file that needs no other, and asks for none.

    Args:
        loaded: What it holds.
        runtime: What runs its models.
    """
    pieces = {**loaded.pieces, "runtime": runtime.script, "wasm": runtime.wasm}
    parts = {
        "title": escape(loaded.contents.title),
        "style": _text("page.css"),
        # In a script only this sign could end it early.
        "contents": msgspec.json.encode(loaded.contents).decode().replace("<", "\\u003c"),
        "pieces": "\n".join(_piece(name, content) for name, content in pieces.items()),
        "script": "\n".join(_text(name) for name in _SCRIPTS),
        "runtime": escape(runtime.version),
    }
    return _MARK.sub(lambda mark: parts[mark[1]], _text("page.html")).encode()


def _piece(name: str, content: bytes) -> str:
    packed = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    return f'<script type="text/plain" id="piece-{name}">{packed}</script>'


def _text(name: str) -> str:
    return files("nfkit.pages").joinpath(name).read_text(encoding="utf-8")
