"""Addresses name a model and hold no secret; a token goes to its host alone, and over no open line."""

import pytest

from nfkit.access.address import TOKEN_VARIABLE, Credential, is_address, is_loopback, parse_address
from nfkit.errors import OptionError


@pytest.mark.parametrize(
    ("text", "server", "name", "version"),
    [
        ("https://host/v2/models/net", "https://host", "net", ""),
        ("http://127.0.0.1:8000/v2/models/net/", "http://127.0.0.1:8000", "net", ""),
        ("https://host/some/gate/v2/models/a%20b/versions/3", "https://host/some/gate", "a b", "3"),
        ("http://[::1]:9/v2/models/net", "http://[::1]:9", "net", ""),
    ],
)
def test_an_address(text, server, name, version):
    address = parse_address(text)
    assert (address.server, address.name, address.version) == (server, name, version)
    assert str(address) == text.rstrip("/")
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://me:s3cret@host/v2/models/net", "user name or password"),
        ("https://host/v2/models/net?key=s3cret", "goes on behind"),
        ("https://host/v2/models/net#s3cret", "goes on behind"),
        ("https://host/models/net", "names no model"),
        ("https://host/v2/models/", "names no model"),
        ("ftp://host/v2/models/net", "'ftp://' is no address of a model"),
        ("https:///v2/models/net", "no address of a model"),
        ("https://host:99999/v2/models/net", "malformed"),
    ],
)
def test_what_is_no_address(text, said):
    with pytest.raises(OptionError, match=said) as caught:
        parse_address(text)
    assert "s3cret" not in str(caught.value)


def test_files_are_no_addresses():
    assert is_address("https://host/x")
    assert is_address("HTTP://host")
    assert not any(map(is_address, ["model.onnx", "/a/b.onnx", "C:\\models\\a.onnx", "", None, "a:b"]))


@pytest.mark.parametrize(
    ("server", "expected"),
    [("http://127.0.0.1:3", True), ("http://localhost", True), ("http://[::1]", True), ("http://10.0.0.1", False),
     ("https://localhost.example", False)],
)  # fmt: skip
def test_loopback(server, expected):
    assert is_loopback(server) is expected


@pytest.mark.parametrize(
    ("address", "token", "said"),
    [
        ("http://host/v2/models/net", "s3cret", "not encrypted"),
        ("https://host/v2/models/net", "s3cr\u00e9t", "characters that no HTTP header can"),
        ("https://host/v2/models/net", "s3cret\r\nX: y", "characters that no HTTP header can"),
    ],
)
def test_tokens_that_are_not_sent(monkeypatch, address, token, said):
    monkeypatch.setenv(TOKEN_VARIABLE, token)
    with pytest.raises(OptionError, match=said) as caught:
        Credential.for_address(parse_address(address))
    assert token not in str(caught.value)


@pytest.mark.parametrize("address", ["https://host/v2/models/net", "http://127.0.0.1:8000/v2/models/net"])
def test_a_token_that_is_sent(monkeypatch, address):
    monkeypatch.setenv(TOKEN_VARIABLE, " s3cret\n")
    credential = Credential.for_address(parse_address(address))
    assert credential.headers() == {"Authorization": "Bearer s3cret"}
    assert "s3cret" not in repr(credential)
    assert credential.redact("you sent s3cret") == "you sent ***"
    monkeypatch.delenv(TOKEN_VARIABLE)
    assert Credential.for_address(parse_address(address)).headers() == {}
