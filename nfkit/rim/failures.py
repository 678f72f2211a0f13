"""The one place where a failure inside a library becomes a sentence.

onnx, onnx-ir and protobuf each raise their own kinds, and none of them knows which model it was given.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nfkit.errors import ModelError, NfkitError


@contextmanager
def model_errors(what: str, remedy: str = "export the model again") -> Iterator[None]:
    """Turns whatever a library raises inside into a `ModelError`; nfkit's own errors pass.

    Args:
        what: What failed, as the start of a sentence: "'m.onnx' cannot be read".
        remedy: What to do about it.

    Raises:
        ModelError: In place of any other exception.
    """
    try:
        yield
    except NfkitError:
        raise
    except RecursionError as error:
        raise ModelError(f"{what} (its graphs are nested too deep): {remedy}") from error
    except MemoryError as error:
        raise ModelError(f"{what} (it needs more memory than there is): {remedy}") from error
    except Exception as error:
        raise ModelError(f"{what} ({first_line(error)}): {remedy}") from error


def first_line(error: Exception) -> str:
    """What an error says, as part of a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:160].rstrip(".")
