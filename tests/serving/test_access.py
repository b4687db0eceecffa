"""Who may ask, decided from headers."""

from __future__ import annotations

import pytest

from ouroboros.errors import UserError
from ouroboros.serving.access import Access, host_name, is_loopback, token_from_environment

TOKEN = "0123456789abcdef"


def status(access: Access, method: str = "POST", path: str = "/score", **headers: str) -> int:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = access.refusal(method, path, names)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("address", "expected"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("fe80::1%eth0", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_address(address: str, expected: bool) -> None:
    assert is_loopback(address) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", 200), ("LocalHost:8080", 200), ("127.0.0.1:1", 200), ("[::1]:8080", 200),
     ("evil.example", 403), ("localhost.evil.example", 403), ("127.0.0.1.evil.example:80", 403),
     ("", 403)],
)  # fmt: skip
def test_on_loopback_another_host_name_is_refused(host: str, expected: int) -> None:
    access = Access.at("127.0.0.1", "127.0.0.1", None)
    assert status(access, host=host, content_type="application/json") == expected
    assert status(access, "GET", "/health", host=host) == expected


def test_a_name_the_user_gave_loopback_is_one_of_its_names() -> None:
    access = Access.at("MyBox", "127.0.1.1", None)
    assert status(access, "GET", "/health", host="mybox:8080") == 200
    assert status(access, "GET", "/health", host="127.0.1.1") == 200


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("application/json", 200), ("application/json; charset=utf-8", 200), ("text/plain", 415),
     ("application/x-www-form-urlencoded", 415), ("", 415)],
)  # fmt: skip
def test_only_json_is_taken(kind: str, expected: int) -> None:
    # What a page of another origin may send without asking first is none of these.
    access = Access.at("localhost", "127.0.0.1", None)
    assert status(access, host="localhost", content_type=kind) == expected


def test_beyond_loopback_a_token_is_needed_to_start() -> None:
    with pytest.raises(UserError, match=r"(?s)--host 0\.0\.0\.0 .*OUROBOROS_TOKEN"):
        Access.at("0.0.0.0", "0.0.0.0", None)


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [(f"Bearer {TOKEN}", 200), (f"bearer {TOKEN}", 200), (f"Bearer {TOKEN}x", 401),
     (f"Bearer {TOKEN[:-1]}", 401), (f"Basic {TOKEN}", 401), (TOKEN, 401), ("Bearer", 401),
     ("Bearer \u00e9", 401), ("", 401)],
)  # fmt: skip
def test_where_there_is_a_token_all_but_health_need_it(
    address: str, given: str, expected: int
) -> None:
    access = Access.at(address, address, TOKEN)
    headers = {"host": "127.0.0.1", "content_type": "application/json", "authorization": given}
    assert status(access, **headers) == expected
    assert status(access, "GET", "/elsewhere", **headers) == expected
    assert status(access, "GET", "/health", host="127.0.0.1") == 200


@pytest.mark.parametrize("token", ["short", "x" * 15, "with a space in it", "\u00e9" * 16])
def test_a_poor_token_is_refused(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUROBOROS_TOKEN", token)
    with pytest.raises(UserError, match="at least 16 visible ASCII characters"):
        token_from_environment()


def test_an_empty_token_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUROBOROS_TOKEN", "")
    assert token_from_environment() is None
    monkeypatch.setenv("OUROBOROS_TOKEN", TOKEN)
    assert token_from_environment() == TOKEN


def test_the_name_in_a_host_header() -> None:
    assert [host_name(h) for h in ("A:80", "[::1]", "[::1]:80", " a ")] == ["a", "::1", "::1", "a"]
