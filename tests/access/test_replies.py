"""Replies that are no success, as a message tells them."""

import pytest

from nfkit.access.replies import Reply


def test_what_a_server_says_is_one_line_without_control_characters():
    reply = Reply(500, {}, b"first\r\n  second\x1b[31m\xff" + b"x" * 5000)
    assert reply.excerpt().startswith(": first second?[31m\ufffdxxx")
    assert len(reply.excerpt()) == 2 + 300
    assert Reply(500, {}, b" \n").excerpt() == ""


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:key@other.example:8000/v2?key=1#part", "https://other.example/v2"),
        ("/login?next=1", "/login"),
        ("http://[::1/v2", "no address"),
        ("", "nowhere"),
    ],
)
def test_a_redirect_is_told_without_what_may_be_secret(location, shown):
    said = Reply(302, {"location": location}, b"").explanation()
    assert said == f"status 302, a redirect to {shown}; none is followed, so give that address if it is meant"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0.0),
        ("soon", None),
        ("-1", None),
        ("²", None),
        ("", None),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(text, seconds):
    assert Reply(503, {"retry-after": text}, b"").wait(lambda: 10.0) == seconds


def test_a_refusal_comes_with_what_to_do():
    assert Reply(413, {}, b"").explanation() == "status 413 (lower --call-batch)"
    assert Reply(418, {}, b"").explanation() == "status 418"
