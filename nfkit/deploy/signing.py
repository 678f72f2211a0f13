"""Signatures by a key of one's own, in the format of OpenSSF Model Signing: a bundle beside the file (`FILE.sig`).

The bundle is what the `model-signing` library makes of an elliptic-curve key: a signed statement of the digests of the
file, and of the data beside it where a model has some. It is made and checked offline; its own program checks it as
well (`model_signing verify key`). What is signed are bytes: a file that a tool wrote anew has to be signed anew.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nfkit.errors import ModelError, OptionError
from nfkit.model import files_of
from nfkit.outputs import PathLike, write_atomically
from nfkit.reports.verification import Check
from nfkit.rim.failures import first_line

SUFFIX = ".sig"


def signature_path(file: PathLike) -> Path:
    """Where the signature of a file lies by default."""
    path = Path(file)
    return path.with_name(path.name + SUFFIX)


def sign(file: PathLike, key: PathLike, output: PathLike | None = None, *, password: str | None = None) -> Path:
    """Signs a model, and the data beside it.

    Args:
        file: A model's file.
        key: A private key on an elliptic curve (such as NIST P-256), in PEM form.
        output: Where to write the signature; `FILE.sig` by default.
        password: Of the key, where it has one.

    Returns:
        Where the signature is.

    Raises:
        OptionError: When the library is missing, or the key is none.
        ModelError: When there is no such file, or it is no ONNX model.
        OutputError: When the signature cannot be written.
    """
    _require_library()
    from model_signing import hashing, signing

    target = signature_path(file) if output is None else Path(output)
    with _viewed(file) as view, tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "signature")
        secret: Any = None if password is None else password.encode()  # it says text, and takes bytes
        try:
            config = signing.Config().use_elliptic_key_signer(private_key=Path(key), password=secret)
        except (ValueError, TypeError, OSError) as error:
            raise OptionError(
                f"'{key}' is no private key that can sign ({first_line(error)}): make one with openssl genpkey "
                "-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem"
            ) from error
        config.set_hashing_config(hashing.Config().set_allow_symlinks(True))
        config.sign(view, written)
        return write_atomically(target, written.read_bytes())


def check_signature(file: PathLike, public_key: PathLike, signature: PathLike | None = None) -> Check:
    """Whether a file, and the data beside it, bear the signature of a key.

    Args:
        file: A model's file.
        public_key: The public key, in PEM form.
        signature: Where the signature lies; `FILE.sig` by default.

    Raises:
        OptionError: When the library is missing, or the key is none.
        ModelError: When there is no such file.
    """
    _require_library()
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from model_signing import hashing, verifying

    place = signature_path(file) if signature is None else Path(signature)
    try:
        load_pem_public_key(Path(public_key).read_bytes())
        config = verifying.Config().use_elliptic_key_verifier(public_key=Path(public_key))
    except (ValueError, TypeError, OSError) as error:
        raise OptionError(f"'{public_key}' is no public key in PEM form ({first_line(error)})") from error
    if not place.is_file():
        return Check("signature", "wrong", f"there is none at '{place}'")
    try:
        with _viewed(file) as view:
            config.set_hashing_config(hashing.Config().set_allow_symlinks(True)).verify(view, place)
    except ModelError:
        raise
    except Exception as error:  # the library raises what its parts raise, and each means the same
        return Check("signature", "wrong", f"'{place}' is not of this key and file ({_reason(error)})")
    return Check("signature", "proven", f"'{place}' is of this key, over the file and the data beside it")


def _reason(error: Exception) -> str:
    text = first_line(error)
    if text.startswith("Key mismatch"):
        return "it is of another key"
    return "the file is another" if "ismatch" in text else text


def _require_library() -> None:
    if find_spec("model_signing") is None or find_spec("OpenSSL") is None:
        raise OptionError("signatures need the extra 'sign': pip install 'nfkit[sign]'")


@contextmanager
def _viewed(file: PathLike) -> Iterator[Path]:
    """What is signed: the file itself, or a folder with links to it and to its data, and to nothing else."""
    path = Path(file)
    if not path.is_file():
        raise ModelError(f"no file at '{path}': give the path of a model")
    beside = [place for place in files_of(path) if place != path]
    if not beside:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        view = Path(folder, "model")
        for place in (path, *beside):
            link = view / os.path.relpath(place, path.parent)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place.absolute())
        yield view
