"""Signatures with a real pair of keys: proven as they are, found out where file, data, key or signature changed."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from nfkit.errors import ModelError, OptionError

pytest.importorskip("OpenSSL")
pytest.importorskip("model_signing")

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

import nfkit
from nfkit.cli.main import app
from nfkit.deploy.signing import check_signature, sign
from nfkit.model import save


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """keys(name, password): paths of a private key and its public one."""
    folder = tmp_path_factory.mktemp("keys")

    def make(name, password=None):
        key = ec.generate_private_key(ec.SECP256R1())
        hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        private, public = folder / f"{name}.pem", folder / f"{name}.pub"
        pem = serialization.Encoding.PEM
        private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, hidden))
        public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
        return private, public

    return make


@pytest.fixture
def signed(protected, keys, tmp_path):
    """A signed file, and the public key."""
    private, public = keys("own")
    path = save(protected("both"), tmp_path / "p.nf.onnx")
    assert sign(path, private) == tmp_path / "p.nf.onnx.sig"
    return path, public


def test_it_is_proven_as_it_is(signed):
    path, public = signed
    found = nfkit.verify(path, public_key=public)
    assert found.outcome == "proven"
    assert found.checks[0].name == "signature"


def test_a_renamed_file_keeps_its_signature(signed, tmp_path):
    path, public = signed
    other = tmp_path / "other.onnx"
    shutil.copy(path, other)
    assert check_signature(other, public, f"{path}.sig").outcome == "proven"


def test_a_new_seal_does_not_replace_it(signed):
    """What verify without a key cannot see: another generator, sealed anew."""
    from nfkit.graph.fusion.dial import with_trust
    from nfkit.graph.fusion.trust import Trust

    path, public = signed
    save(with_trust(nfkit.load_model(path), Trust(doubt=1.0)), path)
    assert nfkit.verify(path).outcome == "proven"
    found = nfkit.verify(path, public_key=public)
    assert found.outcome == "wrong"
    assert [check.name for check in found.checks if check.outcome == "wrong"] == ["signature"]


def test_every_flipped_byte_of_the_file_is_found(signed):
    path, public = signed
    content, random = path.read_bytes(), np.random.default_rng(1)
    for at in random.choice(len(content), 12, replace=False):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(random.integers(8))
        path.write_bytes(bytes(flipped))
        try:
            assert check_signature(path, public).outcome == "wrong"
        except ModelError:  # it is no model any more
            continue


def test_changed_signatures_are_found(signed):
    path, public = signed
    place = path.with_name(path.name + ".sig")
    bundle = json.loads(place.read_text())
    signature = bundle["dsseEnvelope"]["signatures"][0]
    signature["sig"] = signature["sig"][:20] + ("A" if signature["sig"][20] != "A" else "B") + signature["sig"][21:]
    place.write_text(json.dumps(bundle))
    assert check_signature(path, public).outcome == "wrong"
    for content in ("", "{}", "no bundle"):
        place.write_text(content)
        assert check_signature(path, public).outcome == "wrong"
    place.unlink()
    assert "there is none" in check_signature(path, public).finding


def test_that_of_another_key_is_found(signed, keys):
    path, _ = signed
    found = check_signature(path, keys("other")[1])
    assert (found.outcome, "of another key" in found.finding) == ("wrong", True)


def test_data_beside_the_model_is_signed_too(protected, keys, tmp_path):
    private, public = keys("data")
    path = tmp_path / "p.onnx"
    message = onnx.load(save(protected("published"), tmp_path / "whole.onnx"))
    onnx.save_model(message, path, save_as_external_data=True, location="p.data", size_threshold=0)
    sign(path, private)
    assert check_signature(path, public).outcome == "proven"
    data = (tmp_path / "p.data").read_bytes()
    (tmp_path / "p.data").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert check_signature(path, public).outcome == "wrong"


def test_the_librarys_own_program_takes_it(signed):
    path, public = signed
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(path), "--signature", f"{path}.sig"]
    done = subprocess.run([*command, "--public_key", str(public)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_no_key_is_refused(signed, keys, tmp_path):
    path, public = signed
    with pytest.raises(OptionError, match="no private key"):
        sign(path, public, tmp_path / "s")
    with pytest.raises(OptionError, match="no private key"):
        sign(path, tmp_path / "absent.pem", tmp_path / "s")
    locked, _ = keys("locked", b"secret")
    with pytest.raises(OptionError, match="no private key"):
        sign(path, locked, tmp_path / "s")
    assert sign(path, locked, tmp_path / "s", password="secret").is_file()
    with pytest.raises(OptionError, match="no public key"):
        check_signature(path, path)


def test_the_commands(protected, keys, tmp_path):
    private, public = keys("command")
    path = save(protected("published"), tmp_path / "p.onnx")

    def run(*arguments):
        return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)

    assert run("sign", path, "--key", private).exit_code == 0
    assert run("verify", path, "--public-key", public).exit_code == 0
    assert run("verify", path, "--public-key", keys("third")[1]).exit_code == 1
