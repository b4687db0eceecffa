"""How many requests does `ouroboros serve` answer, and how long does each take?

Usage: python benchmarks/serve.py [--critic DIR] [--programs 8] [--seconds 20]

Starts a server with the critic and asks it from 1, 4 and 16 clients at once, each over one kept
connection, its next request as soon as it has its answer. The first row is `Critic.score` on the
same programs in one process without a server. A request brings programs for one problem
of the starter set, no two requests the same ones, so that nothing but the server's own work is
measured. The queue has room for all clients: a refusal here is a fault. The clients run on the
same cores. Timings on a busy machine mean little.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

from ouroboros.critic.scoring import load_critic
from ouroboros.errors import UserError, run_main
from ouroboros.problems.formats import load_problems
from ouroboros.records import Problem

CLIENTS = (1, 4, 16)
WARM_UP = 5
"""Requests before the clock starts."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--critic", type=Path, default=Path("models/critic"))
    parser.add_argument("--programs", type=int, default=8, help="in a request")
    parser.add_argument("--seconds", type=float, default=20, help="for each row")
    arguments = parser.parse_args()
    with resources.as_file(resources.files("ouroboros.problems.starter")) as folder:
        problems = [p for p in load_problems(folder / "problems.jsonl") if p.reference]
    requests = Requests(problems, arguments.programs)
    print(f"{arguments.programs} programs a request, {arguments.seconds:g} s for each row")
    print("clients    requests/s  programs/s  latency p50  p90  p99  max (ms)", flush=True)
    alone(arguments.critic, requests, arguments.seconds)
    environment = {k: v for k, v in os.environ.items() if k != "OUROBOROS_TOKEN"}
    with subprocess.Popen(
        [sys.executable, "-m", "ouroboros.cli", "serve", "--critic", str(arguments.critic),
         "--port", "0", "--queue", str(max(CLIENTS)), "--timeout", "600"],
        stdout=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if " at http://" not in line:
                raise UserError("the server does not start")
            port = int(line.split(" at http://")[1].split()[0].rpartition(":")[2])
            client(port, requests, count=WARM_UP)
            for clients in CLIENTS:
                served(port, requests, clients, arguments.seconds)
        finally:
            process.terminate()
    return 0


class Requests:
    """Requests without end, no two alike; threads may share it."""

    def __init__(self, problems: Sequence[Problem], programs: int) -> None:
        self._problems, self.programs = problems, programs
        self._numbers = itertools.count()

    def next(self) -> tuple[Problem, list[str]]:
        number = next(self._numbers)
        problem = self._problems[number % len(self._problems)]
        # Statements, not comments: a critic may leave those out.
        endings = (f"n{number} = {index}" for index in range(self.programs))
        return problem, [f"{problem.reference.rstrip()}\n{ending}\n" for ending in endings]


def alone(critic: Path, requests: Requests, seconds: float) -> None:
    """The row without a server."""
    loaded = load_critic(critic)
    latencies = []
    start = time.monotonic()
    while time.monotonic() < start + seconds:
        problem, programs = requests.next()
        begun = time.monotonic()
        loaded.score([(problem, program) for program in programs])
        latencies.append(time.monotonic() - begun)
    row("no server", latencies, time.monotonic() - start, requests.programs)


def served(port: int, requests: Requests, clients: int, seconds: float) -> None:
    """The row of so many clients."""
    start = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        futures = [
            pool.submit(client, port, requests, until=start + seconds) for _ in range(clients)
        ]
        latencies = [latency for future in futures for latency in future.result()]
    row(str(clients), latencies, time.monotonic() - start, requests.programs)


def row(name: str, latencies: list[float], seconds: float, programs: int) -> None:
    rate = len(latencies) / seconds
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    shown = "  ".join(f"{1000 * s:.0f}" for s in (cuts[49], cuts[89], cuts[98], max(latencies)))
    print(f"{name:>9}  {rate:>10.1f}  {rate * programs:>10.0f}  {shown}", flush=True)


def client(
    port: int, requests: Requests, *, until: float | None = None, count: int | None = None
) -> list[float]:
    """Ask until a time, or so often; seconds from each request to its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    latencies: list[float] = []
    while (until is None or time.monotonic() < until) and len(latencies) != count:
        problem, programs = requests.next()
        asked = {
            "task": problem.prompt_text,
            "tests": problem.visible_tests,
            "entry_point": problem.entry_point,
            "programs": programs,
        }
        body = json.dumps(asked)
        begun = time.monotonic()
        connection.request("POST", "/score", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise UserError(f"{answer.status}: {text.decode()}")
        latencies.append(time.monotonic() - begun)
    connection.close()
    return latencies


if __name__ == "__main__":
    run_main(main)
