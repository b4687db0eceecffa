"""The API: what each path answers, and what it says when it cannot.

The event loop reads, checks and answers; whatever takes long is a job of the queue's one thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ouroboros import __version__
from ouroboros.critic.scoring import Critic
from ouroboros.errors import InputError, UserError
from ouroboros.records import Problem
from ouroboros.serving.access import Access
from ouroboros.serving.queue import Closed, Full, JobQueue
from ouroboros.serving.schemas import (
    Limits,
    RankRequest,
    ScoreRequest,
    UnknownProblem,
    VerifyRequest,
    known_problem,
    parse_request,
    problem_asked,
)
from ouroboros.serving.work import rank_programs, score_programs, verify_programs
from ouroboros.verification.params import ExecuteParams

Kind = TypeVar("Kind", ScoreRequest, RankRequest, VerifyRequest)

RETRY_AFTER_SECONDS = 1
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What is served, and how.

    Attributes:
        critic: used by the queue's thread alone.
        critic_digest: `store.folder_digest` of its folder.
        problems: those a request can name, by id; null where none were given.
        execute: limits of one program that /verify runs.
        jobs: does the work.
        timeout: seconds a job may wait for its turn, and a body may take to arrive.
    """

    critic: Critic
    critic_digest: str
    problems: Mapping[str, Problem] | None
    execute: ExecuteParams
    limits: Limits
    jobs: JobQueue
    timeout: float

    @property
    def known(self) -> Mapping[str, Problem]:
        return self.problems or {}

    async def health(self, request: Request) -> JSONResponse:
        """What is served."""
        return JSONResponse(
            {
                "version": __version__,
                "critic": self.critic_digest,
                "problems": len(self.known),
                "busy": self.jobs.busy,
                "waiting": self.jobs.waiting,
            }
        )

    async def score(self, request: Request) -> JSONResponse:
        """reward and p_pass of each program, in order."""
        asked = await self._read(request, ScoreRequest)
        problem = problem_asked(asked, self.known)
        return await self._answer(
            request, lambda: score_programs(self.critic, problem, asked.programs)
        )

    async def rank(self, request: Request) -> JSONResponse:
        """The programs, best first, and which of them is the answer."""
        asked = await self._read(request, RankRequest)
        problem = problem_asked(asked, self.known)
        return await self._answer(
            request, lambda: rank_programs(self.critic, problem, asked.programs, asked.min_p)
        )

    async def verify(self, request: Request) -> JSONResponse:
        """The verdict on each program, in order, from the sandbox."""
        if self.problems is None:
            raise HTTPException(
                404, "this server verifies nothing: it was started without --problems, and a "
                "request may not bring tests",
            )  # fmt: skip
        asked = await self._read(request, VerifyRequest)
        problem = known_problem(asked.problem_id, self.problems)
        try:
            return await self._answer(
                request, lambda: verify_programs(problem, asked.programs, self.execute)
            )
        except InputError as error:  # the problem's fault, so not the client's
            raise HTTPException(500, f"cannot be judged: {error}") from error
        except UserError as error:
            logger.error("/verify: %s", error)
            # Why is for whoever runs the server: it names places on this machine.
            raise HTTPException(
                503, "nothing was run: the sandbox cannot be used here; the server's log says why"
            ) from error

    async def _read(self, request: Request, kind: type[Kind]) -> Kind:
        """The body, checked.

        Raises:
            HTTPException: too large, or too slow.
            InputError: not what it must be.
        """
        most = self.limits.body_bytes
        too_large = HTTPException(413, f"request: its body may have at most {most} bytes")
        if int(request.headers.get("content-length", 0)) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self.timeout):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            raise HTTPException(
                408, f"request: its body took more than {self.timeout:g} s", {"Connection": "close"}
            ) from None
        except ClientDisconnect:  # nobody is left to read this
            raise HTTPException(400, "request: its body is not whole") from None
        return parse_request(kind, bytes(body), self.limits)

    async def _answer(self, request: Request, job: Callable[[], dict[str, Any]]) -> JSONResponse:
        """Have a job done and wait for it; who goes away or waits too long takes it back.

        Raises:
            HTTPException: it was not begun in time.
            Full, Closed: see `JobQueue`.
            Exception: what the job raises.
        """
        future = self.jobs.submit(job)
        outcome = asyncio.wrap_future(future)
        gone = asyncio.ensure_future(_gone(request))
        try:
            either: set[asyncio.Future[Any]] = {outcome, gone}
            await asyncio.wait(either, timeout=self.timeout, return_when=asyncio.FIRST_COMPLETED)
            if not outcome.done() and self.jobs.drop(future):
                raise HTTPException(
                    503, f"its turn did not come within {self.timeout:g} s",
                    {"Retry-After": str(RETRY_AFTER_SECONDS)},
                )  # fmt: skip
            return JSONResponse(await outcome)
        finally:
            gone.cancel()


async def _gone(request: Request) -> None:
    """Return once the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Guard:
    """Applies an `Access` before anything else is read of a request."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            refusal = self._access.refusal(scope["method"], scope["path"], Headers(scope=scope))
            if refusal is not None:
                response = _error(refusal.status, refusal.message, refusal.headers)
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def make_app(service: Service, access: Access) -> ASGIApp:
    """The whole API as an ASGI application."""
    app = Starlette(
        routes=[
            Route("/health", service.health, methods=["GET"]),
            Route("/score", service.score, methods=["POST"]),
            Route("/rank", service.rank, methods=["POST"]),
            Route("/verify", service.verify, methods=["POST"]),
        ],
        exception_handlers={
            HTTPException: _from_http,
            InputError: _from_input,
            Full: _from_full,
            Closed: _from_closed,
            Exception: _from_fault,
        },
    )
    return _Guard(app, access)


def _error(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=dict(headers or {}))


async def _from_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail, error.headers)


async def _from_input(request: Request, error: Exception) -> JSONResponse:
    return _error(404 if isinstance(error, UnknownProblem) else 400, str(error))


async def _from_full(request: Request, error: Exception) -> JSONResponse:
    return _error(
        429, "as many requests wait as may wait", {"Retry-After": str(RETRY_AFTER_SECONDS)}
    )


async def _from_closed(request: Request, error: Exception) -> JSONResponse:
    return _error(503, "the server is stopping")


async def _from_fault(request: Request, error: Exception) -> JSONResponse:
    return _error(500, HTTPStatus.INTERNAL_SERVER_ERROR.phrase)
