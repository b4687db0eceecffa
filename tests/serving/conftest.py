"""A tiny critic, a file of problems, and a real server process on loopback."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ouroboros.jsonl import write_records
from tests.critic.tiny_critics import problem, train_tiny_critic

START_SECONDS = 120.0


@dataclass
class Answer:
    status: int
    body: Any
    headers: http.client.HTTPMessage


class ServerProcess:
    """`ouroboros serve` on a free port; ready when it is made."""

    def __init__(self, log: Path, *arguments: object, environment: dict[str, str] | None = None):
        self._log = log
        base = {k: v for k, v in os.environ.items() if k != "OUROBOROS_TOKEN"}
        with open(log, "wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ouroboros.cli", "serve", "--port", "0"]
                + [str(argument) for argument in arguments],
                env={**base, **(environment or {})}, stdout=stream, stderr=stream,
            )  # fmt: skip
        try:
            self.host, self.port = self._address()
        except BaseException:
            self.kill()
            raise

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def _address(self) -> tuple[str, int]:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if " (Ctrl-C stops)" in self.log:
                host, _, port = self.log.partition(" at http://")[2].split()[0].rpartition(":")
                return host, int(port)
            assert self.process.poll() is None, self.log
            time.sleep(0.05)
        raise AssertionError(f"no address after {START_SECONDS} s: {self.log}")

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = 120,
    ) -> Answer:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=seconds)
        try:
            data = raw if raw is not None else json.dumps(body).encode() if body else None
            kind = {"Content-Type": "application/json"} if data is not None else {}
            connection.request(method, path, body=data, headers={**kind, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
            return Answer(answer.status, json.loads(text) if text else None, answer.headers)
        finally:
            connection.close()

    def post(self, path: str, **body: Any) -> Answer:
        return self.ask("POST", path, body)

    def wait_until_queued(self, count: int) -> None:
        """Wait until so many requests wait for their turn."""
        until = time.monotonic() + 30
        while (found := self.ask("GET", "/health").body["waiting"]) != count:
            assert time.monotonic() < until, f"{found} requests wait, not {count}"
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_critic(tmp_path_factory.mktemp("serving_critic"))


@pytest.fixture(scope="session")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny/1 to tiny/3, which are about adding 1 to 3."""
    path = tmp_path_factory.mktemp("served") / "problems.jsonl"
    write_records(path, [problem(number) for number in (1, 2, 3)])
    return path


@pytest.fixture(scope="module")
def server(
    critic: Path, problems: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """One server for all tests that leave it as it was."""
    log = tmp_path_factory.mktemp("server") / "log"
    started = ServerProcess(
        log, "--critic", critic, "--problems", problems, "--max-body-bytes", 300_000
    )
    yield started
    started.kill()
