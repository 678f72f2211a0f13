"""Opening a base behind an address, with everything that belongs to it, and closing it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from nfkit.access.address import Address, Credential, parse_address
from nfkit.errors import OptionError

if TYPE_CHECKING:
    from nfkit.access.endpoint import Asking, Endpoint
    from nfkit.access.metadata import Metadata
    from nfkit.access.transport import Limits, Transport


def require_client() -> None:
    """Says what to install where the client's libraries are missing.

    Raises:
        OptionError: When they are.
    """
    if find_spec("httpcore") is None or find_spec("orjson") is None:
        raise OptionError("asking a model behind an address needs httpcore and orjson: pip install 'nfkit[remote]'")


@contextmanager
def open_endpoint(
    address: str,
    asking: Asking | None = None,
    *,
    limits: Limits | None = None,
    answers: Path | None = None,
    seed: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, wanted: None,
) -> Iterator[Endpoint]:
    """A base behind an address, for the length of a `with` block.

    Args:
        address: `https://HOST/v2/models/NAME[/versions/VERSION]`, or the same with `grpc://` or `grpcs://`.
        asking: How it is asked.
        limits: What a call may take.
        answers: File to keep answers in; in memory by default.
        seed: Seed of the waits between attempts.
        on_progress: Called with (samples answered, samples asked for) as answers come.

    Raises:
        OptionError: When the address is none, a library is missing, or the endpoint leaves something to be given.
        AccessError: When it cannot be reached, or is nothing that classifies.
        OutputError: When the file cannot be written.
    """
    require_client()
    from nfkit.access.endpoint import Asking, Endpoint
    from nfkit.access.store import AnswerStore

    parsed, asking = parse_address(address), asking or Asking()
    store = AnswerStore(answers)
    kind = _transport_for(parsed)
    transport = kind(parsed.server, Credential.for_address(parsed), limits, seed=seed, connections=asking.concurrency)
    try:
        yield Endpoint(parsed, transport, store, asking, on_progress=on_progress)
    finally:
        transport.close()
        store.close()


def describe(address: str, *, limits: Limits | None = None) -> Metadata:
    """What a server says of the model behind an address; the model itself is not asked.

    Args:
        address: As for `open_endpoint`.
        limits: What the call may take.

    Raises:
        OptionError: When the address is none, or a library is missing.
        AccessError: When it cannot be reached, or does not describe a model.
    """
    require_client()
    from nfkit.access.metadata import read_metadata

    parsed = parse_address(address)
    transport = _transport_for(parsed)(parsed.server, Credential.for_address(parsed), limits, seed=0, connections=1)
    try:
        return transport.call("GET", parsed.path, lambda reply: read_metadata(reply, str(parsed), None, None))
    finally:
        transport.close()


def _transport_for(address: Address) -> type[Transport]:
    """How a server is called, by the scheme of its address."""
    from nfkit.access.transport import Transport

    if not address.server.startswith("grpc"):
        return Transport
    if find_spec("grpc") is None:
        raise OptionError("asking a model over gRPC needs grpcio: pip install 'nfkit[grpc]'")
    from nfkit.access.grpc_transport import GrpcTransport

    return GrpcTransport
