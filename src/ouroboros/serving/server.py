"""`ouroboros serve`: bind, load, answer until told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

import uvicorn

from ouroboros.answering.verifiers import require_critic
from ouroboros.errors import UserError
from ouroboros.problems.formats import load_problems
from ouroboros.serving.access import Access, token_from_environment
from ouroboros.serving.queue import JobQueue
from ouroboros.serving.schemas import Limits
from ouroboros.store import folder_digest
from ouroboros.verification.params import ExecuteParams

SPARE_CONNECTIONS = 64
"""Connections beyond those whose requests can wait: enough to be told 429 in JSON. Past them the
HTTP server answers 503 itself, which bounds the memory that bodies take."""


def run(
    *,
    critic: Path,
    problems: Path | None,
    host: str,
    port: int,
    max_body_bytes: int,
    queue: int,
    timeout: float,
) -> int:
    """Serve a critic over HTTP until SIGTERM or Ctrl-C; what is running then is finished.

    Args:
        critic: a folder the train_critic stage wrote.
        problems: those that requests can name, as `load_problems` takes them.
        host: a name or address to listen on; other than loopback needs a token
            (`access.TOKEN_VARIABLE`).
        port: to listen on; 0 takes a free one.
        max_body_bytes: of one request.
        queue: how many requests may wait for their turn.
        timeout: seconds a request may wait for it.

    Returns:
        The exit status, 0.

    Raises:
        UserError: no critic, no problems, a host that needs a token, an address in use.
    """
    family, address = _resolve(host, port)
    access = Access.at(host, address[0], token_from_environment())
    require_critic(critic)
    known = None
    if problems is not None:
        known = {problem.problem_id: problem for problem in load_problems(problems)}
    with _bind(family, address) as listener:
        # Here, because they bring torch: what cannot be served is said at once.
        from ouroboros.critic.scoring import load_critic
        from ouroboros.serving.app import Service, make_app

        jobs = JobQueue(queue)
        # Loaded by the thread that will use it: torch keeps settings of its own for each.
        loaded = jobs.submit(lambda: load_critic(critic)).result()
        service = Service(
            critic=loaded,
            critic_digest=folder_digest(critic),
            problems=known,
            execute=ExecuteParams(),
            limits=Limits(body_bytes=max_body_bytes),
            jobs=jobs,
            timeout=timeout,
        )
        config = uvicorn.Config(
            make_app(service, access),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level=logging.WARNING,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=queue + SPARE_CONNECTIONS,
        )
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
        shown = f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
        server = _Server(config, jobs, f"http://{shown}:{listener.getsockname()[1]}", critic)
        server.run(sockets=[listener])
        if not server.force_exit:
            jobs.join()  # a job whose client has gone keeps no connection open
    print("stopped", file=sys.stderr, flush=True)
    return 0


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The address to bind; what decides whether it is loopback is the address, not the name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise UserError(f"--host {host}: no such host: {error}") from None
    family, _, _, _, address = found[0]
    return family, (str(address[0]), port)


def _bind(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """A bound socket that does not listen yet, so that nobody waits for a critic being loaded."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UserError(
            f"cannot listen on {address[0]} port {address[1]}: {error.strerror}\n"
            "  --port names another port, 0 any free one"
        ) from None
    return listener


class _Server(uvicorn.Server):
    """Uvicorn's, which says where it listens and stops in our way."""

    def __init__(self, config: uvicorn.Config, jobs: JobQueue, url: str, critic: Path) -> None:
        super().__init__(config)
        self._jobs, self._url, self._critic = jobs, url, critic

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            print(f"{self._critic} at {self._url} (Ctrl-C stops)", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # First, so that no request waits for a job that is not going to begin.
        self._jobs.close()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own, which raises the signal again at the end: to stop is no failure.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True
