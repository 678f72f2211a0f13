"""Addresses of models, and the credential that opens them.

    https://HOST[:PORT][/PREFIX]/v2/models/NAME[/versions/VERSION]

An address goes into records, messages and caches, so it may hold nothing secret: the token comes from the environment,
and is sent to no other host, and over no open line.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from nfkit.errors import OptionError

TOKEN_VARIABLE = "NFKIT_TOKEN"
"""Environment variable whose value is sent as `Authorization: Bearer VALUE`."""

SCHEMES = ("http", "https", "grpc", "grpcs")
"""HTTP and gRPC, in the open and encrypted."""
_ENCRYPTED = ("https://", "grpcs://")

_PATH = re.compile(r"(?P<prefix>.*?)/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?/?")


@dataclass(frozen=True)
class Address:
    """Where a model answers.

    Attributes:
        server: Scheme, host, port and whatever comes before `/v2`.
        model: Name of the model, as in the path.
        version: Its version; empty for the one that the server chooses.
    """

    server: str
    model: str
    version: str = ""

    @property
    def path(self) -> str:
        """The model's own address, which metadata is read from."""
        return f"{self.server}/v2/models/{self.model}" + (f"/versions/{self.version}" if self.version else "")

    @property
    def name(self) -> str:
        """The model's name as its owner wrote it."""
        return unquote(self.model)

    @property
    def host(self) -> str:
        """Host and port."""
        return urlsplit(self.server).netloc

    def __str__(self) -> str:
        return self.path


def is_address(text: object) -> bool:
    """Whether a model is named by where it answers rather than by a file."""
    return isinstance(text, str) and bool(re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text))


def parse_address(text: str) -> Address:
    """Reads an address.

    Raises:
        OptionError: When it is none, or holds what has to stay secret. The message does not repeat it.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise OptionError(f"the address is malformed ({error}): give https://HOST/v2/models/NAME") from None
    if parts.username is not None or parts.password is not None:
        raise OptionError(
            "the address holds a user name or password, and addresses are recorded: leave them out, and set "
            f"{TOKEN_VARIABLE} in the environment"
        )
    if parts.query or parts.fragment:
        raise OptionError(
            "the address goes on behind '?' or '#', and addresses are recorded: leave that out, and set "
            f"{TOKEN_VARIABLE} in the environment if it is a key"
        )
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise OptionError(f"'{parts.scheme}://' is no address of a model: give https://HOST/v2/models/NAME")
    match = _PATH.fullmatch(parts.path)
    if match is None:
        raise OptionError(
            f"'{text}' names no model: the Open Inference Protocol has it at {parts.scheme}://{parts.netloc}/v2/models/"
            "NAME[/versions/VERSION]"
        )
    if parts.scheme.startswith("grpc") and match["prefix"]:
        raise OptionError(
            f"'{text}': over gRPC nothing comes before /v2: give {parts.scheme}://HOST:PORT/v2/models/NAME"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    server = f"{parts.scheme}://{host}{f':{port}' if port is not None else ''}{match['prefix']}"
    return Address(server, match["model"], match["version"] or "")


def is_loopback(server: str) -> bool:
    """Whether a server's host is this machine."""
    host = urlsplit(server).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Credential:
    """A token that never shows: neither in `repr` nor in what a server echoes.

    Attributes:
        token: The secret; empty for none.
    """

    token: str = field(default="", repr=False)

    @classmethod
    def for_address(cls, address: Address) -> Credential:
        """The token of the environment, if there is one.

        Raises:
            OptionError: When it would travel where others can read it, or cannot travel at all.
        """
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            return cls()
        if not (token.isascii() and token.isprintable()):
            raise OptionError(f"{TOKEN_VARIABLE} holds characters that no HTTP header can: copy the token again")
        if not address.server.startswith(_ENCRYPTED) and not is_loopback(address.server):
            raise OptionError(
                f"{TOKEN_VARIABLE} is set, and {address.server} is not encrypted: give an https or grpcs address, or "
                "unset it"
            )
        return cls(token)

    def headers(self) -> dict[str, str]:
        """What to add to a request."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def redact(self, text: str) -> str:
        """A text without the token."""
        return text.replace(self.token, "***") if self.token else text
