"""A small HTTP server that answers as a test says: an OpenAI-compatible endpoint with faults.

def script(call: Call) -> Answer: ...
with ScriptedEndpoint(script) as endpoint: ... endpoint.base_url, endpoint.calls ...
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request: `number` counts those to the same path from 0; `headers` have lower-case
    names; `body` is its JSON."""

    path: str
    number: int
    headers: dict[str, str]
    body: Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is sent back. `body` is JSON unless it is bytes; `hang` never answers; `close` drops the
    connection without an answer."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    close: bool = False


def completion(text: str = "def f(): pass", **changes: Any) -> Answer:
    """A good answer of the completions API, of three tokens to a prompt of `prompt_tokens`."""
    prompt_tokens = changes.pop("prompt_tokens", 1)
    choice = {
        "index": 0, "text": text, "finish_reason": "stop",
        "logprobs": {"tokens": ["a", "b", "c"], "token_logprobs": [-0.25, -1, -0.5]},
    }  # fmt: skip
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 3}
    return Answer(body={"choices": [choice | changes], "usage": usage})


def models(*names: str, **facts: Any) -> Answer:
    """The list of models that is served."""
    return Answer(body={"data": [{"id": name, **facts} for name in names]})


class ScriptedEndpoint:
    """Serves on loopback while it is entered.

    `calls` are the requests so far, `most_at_once` how many it saw together.
    """

    def __init__(self, script: Callable[[Call], Answer]) -> None:
        self.calls: list[Call] = []
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(script))
        self._server.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def asked(self, path: str) -> list[Call]:
        """The requests to one path, in the order in which they came."""
        return [call for call in self.calls if call.path == path]

    def _handler(self, script: Callable[[Call], Answer]) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._serve(None)

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                self._serve(json.loads(self.rfile.read(length)))

            def _serve(self, body: Any) -> None:
                path = self.path.removeprefix("/v1")
                with outer._lock:
                    call = Call(
                        path=path, number=len(outer.asked(path)), body=body,
                        headers={name.lower(): value for name, value in self.headers.items()},
                    )  # fmt: skip
                    outer.calls.append(call)
                    outer._now += 1
                    outer.most_at_once = max(outer.most_at_once, outer._now)
                answer = script(call)
                with outer._lock:
                    outer._now -= 1
                if answer.hang:
                    outer._released.wait()
                if answer.hang or answer.close:
                    self.close_connection = True
                    return
                is_bytes = isinstance(answer.body, bytes)
                data = answer.body if is_bytes else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        return Handler

    def __enter__(self) -> ScriptedEndpoint:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
