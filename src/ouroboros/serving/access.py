"""Who may ask: what is decided from a request's headers alone.

On loopback the danger is a web page in the user's browser, which can send requests to 127.0.0.1:
such a request carries the page's host name (DNS rebinding) or, if it comes from another origin,
cannot say that it is JSON without asking first, which nothing here answers. Beyond loopback a
token decides.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass

from ouroboros.errors import UserError

TOKEN_VARIABLE = "OUROBOROS_TOKEN"
MIN_TOKEN_LENGTH = 16
OPEN_PATHS = ("/health",)
"""Answered without the token: a load balancer has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """An HTTP status (4xx), what to say with it, and further headers."""

    status: int
    message: str
    headers: Mapping[str, str]


def is_loopback(address: str) -> bool:
    """Whether an IP address can be reached from this machine alone."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def token_from_environment() -> str | None:
    """`$OUROBOROS_TOKEN`, or None where it is unset or empty.

    Raises:
        UserError: it is too short to be a secret, or holds what a header cannot.
    """
    token = os.environ.get(TOKEN_VARIABLE, "")
    if not token:
        return None
    if len(token) < MIN_TOKEN_LENGTH or not all("!" <= sign <= "~" for sign in token):
        raise UserError(
            f"{TOKEN_VARIABLE} must be at least {MIN_TOKEN_LENGTH} visible ASCII characters, "
            "without spaces\n  `openssl rand -hex 32` makes one"
        )
    return token


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a request must bring.

    Attributes:
        token: its bearer token; null asks for none.
        hosts: the names it may call this server by, in lower case; null allows any.
    """

    token: str | None
    hosts: frozenset[str] | None

    @classmethod
    def at(cls, host: str, address: str, token: str | None) -> Access:
        """The rule for a server at `address` (an IP address), which the user called `host`.

        Raises:
            UserError: other machines could reach it, and there is no token.
        """
        if is_loopback(address):
            names = {"localhost", "127.0.0.1", "::1", host.lower(), address}
            return cls(token=token, hosts=frozenset(names))
        if token is None:
            raise UserError(
                f"--host {host} can be reached from other machines, so requests must bring a "
                f"token, and there is none\n  set {TOKEN_VARIABLE}, for example to what "
                "`openssl rand -hex 32` prints, or leave --host out"
            )
        return cls(token=token, hosts=None)

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is refused, or None. Names of headers are in lower case."""
        if self.hosts is not None and host_name(headers.get("host", "")) not in self.hosts:
            return _refused(403, "header Host: this server does not go by that name")
        if self.token is not None and path not in OPEN_PATHS:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(
                given.strip().encode("utf-8", "surrogateescape"), self.token.encode()
            ):
                return _refused(
                    401, "header Authorization: expected Bearer and the token of the server",
                    {"WWW-Authenticate": "Bearer"},
                )  # fmt: skip
        if method == "POST":
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                return _refused(415, "header Content-Type: expected application/json")
        return None


def host_name(header: str) -> str:
    """The name or address in a Host header, in lower case, without port and brackets."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _refused(status: int, message: str, headers: Mapping[str, str] | None = None) -> Refusal:
    return Refusal(status=status, message=message, headers=headers or {})
