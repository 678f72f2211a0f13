"""`nfkit sign`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from nfkit.cli import options


def sign(
    file: Annotated[Path, typer.Argument(help="A protected model (*.nf.onnx), or any other.")],
    key: Annotated[Path, typer.Option("--key", metavar="PEM", help="Private key on an elliptic curve, such as P-256.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where to write it; FILE.sig by default.")
    ] = None,
    password_env: Annotated[
        str | None, typer.Option("--password-env", metavar="NAME", help="Environment variable with the key's password.")
    ] = None,
    force: options.Force = False,
    json: options.Json = None,
) -> None:
    """Sign a model and the data beside it with a key of your own, offline (OpenSSF Model Signing).

    Make a pair: openssl ecparam -name prime256v1 -genkey -noout -out key.pem; openssl ec -in key.pem -pubout -out
    public.pem. Who has public.pem checks it: nfkit verify FILE --public-key public.pem.
    """
    from nfkit.cli import console
    from nfkit.deploy.signing import sign as sign_file
    from nfkit.deploy.signing import signature_path
    from nfkit.errors import OptionError
    from nfkit.model import sha256

    target = output or signature_path(file)
    console.check_outputs(json, {"-o": target}, models={"the model": file}, files={"the key": key}, force=force)
    if password_env is not None and password_env not in os.environ:
        raise OptionError(f"--password-env {password_env}: there is no such environment variable")
    sign_file(file, key, target, password=None if password_env is None else os.environ[password_env])
    record = {
        "schema": "nfkit.sign/1",
        "file": {"path": str(file), "sha256": sha256(file)},
        "signature": {"path": str(target), "sha256": sha256(target)},
    }
    console.write_json(record, json)
    if json != "-":
        print(f"{target}: signature of {file} and the data beside it, by {key}")
