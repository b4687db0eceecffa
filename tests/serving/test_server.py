"""The API of a real server process, with a real critic and the real sandbox."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from ouroboros import __version__
from ouroboros.answering.ranking import rank
from ouroboros.answering.tasks import UNTESTED, as_read, make_problem
from ouroboros.cli import main
from ouroboros.critic.scoring import Critic, load_critic
from ouroboros.records import Candidate, Problem, to_dict
from ouroboros.store import folder_digest
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify
from tests.critic.tiny_critics import problem
from tests.serving.conftest import Answer, ServerProcess

TASK = "Write a function to add 2 to a given number."
TEST = "assert add(1) == 3"
RIGHT = "def add(x):\n    return x + 2\n"
WRONG = "def add(x):\n    return x * 2\n"
BROKEN = "def add(x:\n"
OTHER = "def plus(x):\n    return x + 2\n"
PROGRAMS = [WRONG, RIGHT, BROKEN, OTHER, RIGHT + "\n"]
ENDLESS = [f"def add(x):\n    while True:\n        x += {step}\n" for step in (1, 2)]
TOKEN = "a token for the tests".replace(" ", "-")


@pytest.fixture(scope="session")
def loaded(critic: Path) -> Critic:
    return load_critic(critic)


def scores_of(loaded: Critic, asked: Problem, programs: list[str]) -> list[dict[str, float]]:
    """What the critic says in this process, in the server's form."""
    return [to_dict(s) for s in loaded.score([(as_read(asked, code), code) for code in programs])]


def test_health_says_what_is_served(server: ServerProcess, critic: Path) -> None:
    answer = server.ask("GET", "/health")
    assert answer.status == 200
    assert answer.body == {
        "version": __version__, "critic": folder_digest(critic), "problems": 3, "busy": False,
        "waiting": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"task": TASK}, make_problem(TASK)),
        ({"task": TASK, "tests": [TEST]}, make_problem(TASK, [TEST])),
        ({"task": TASK, "entry_point": "plus"}, make_problem(TASK, (), "plus")),
        ({"problem_id": "tiny/2"}, problem(2)),
    ],
)
def test_scores_are_the_critics_in_order(
    server: ServerProcess, loaded: Critic, fields: dict[str, Any], asked: Problem
) -> None:
    answer = server.post("/score", programs=PROGRAMS, **fields)
    assert answer.status == 200, answer.body
    expected = scores_of(loaded, asked, PROGRAMS)
    assert answer.body == {"scores": expected}
    assert len({one["reward"] for one in expected}) >= 3, "the scores tell nothing apart"


def test_ranking_is_the_one_of_ouroboros_rank(server: ServerProcess, loaded: Critic) -> None:
    asked = make_problem(TASK, [TEST])
    answer = server.post("/rank", programs=PROGRAMS, task=TASK, tests=[TEST])
    assert answer.status == 200, answer.body
    candidates = [
        Candidate(problem_id=asked.problem_id, sample_index=index, code=code)
        for index, code in enumerate(PROGRAMS)
    ]
    expected = rank(
        replace(asked, tests=UNTESTED), candidates, [None] * 5,
        loaded.score([(asked, code) for code in PROGRAMS]),
    )  # fmt: skip
    rows = answer.body["ranking"]
    assert [tuple(row["programs"]) for row in rows] == [
        program.sample_indices for program in expected.programs
    ]
    assert [(row["reward"], row["p_pass"], row["acceptable"]) for row in rows] == [
        (program.reward, program.p_pass, program.acceptable) for program in expected.programs
    ]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert sorted(rows[2]["programs"] + rows[3]["programs"]) == [2, 3], "not valid definitions"
    assert answer.body["answer"] == rows[0]["programs"][0]
    assert answer.body["reason"] is None


def test_rank_declines_and_says_why(server: ServerProcess) -> None:
    unlikely = server.post("/rank", programs=PROGRAMS, problem_id="tiny/2", min_p=1)
    assert (unlikely.status, unlikely.body["answer"]) == (200, None)
    assert "less than 1" in unlikely.body["reason"]
    broken = server.post("/rank", programs=[BROKEN], problem_id="tiny/2")
    assert broken.body["answer"] is None
    assert broken.body["reason"] == "no program is valid Python that defines add"


def test_rank_runs_no_test_of_the_request(server: ServerProcess, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    test = f"assert add(1) == open({str(marker)!r}, 'w').write('x')"
    for path in ("/score", "/rank"):
        assert server.post(path, programs=[RIGHT], task=TASK, tests=[test]).status == 200
    assert not marker.exists()


def test_verdicts_are_those_of_the_sandbox(server: ServerProcess) -> None:
    answer = server.post("/verify", programs=PROGRAMS, problem_id="tiny/2")
    assert answer.status == 200, answer.body
    candidates = [
        Candidate(problem_id="tiny/2", sample_index=index, code=code)
        for index, code in enumerate(PROGRAMS)
    ]
    expected = [to_dict(v) for v in verify([problem(2)], candidates, ExecuteParams())]
    found = [
        {"problem_id": "tiny/2", "sample_index": index, **row}
        for index, row in enumerate(answer.body["verdicts"])
    ]
    assert found == expected
    assert [row["verdict"] for row in found] == [
        "wrong_answer", "pass", "syntax_error", "runtime_error", "pass",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/score", "/rank", "/verify"])
def test_an_unknown_problem_is_404(server: ServerProcess, path: str) -> None:
    answer = server.post(path, programs=[RIGHT], problem_id="tiny/9")
    assert answer.status == 404
    assert "no problem 'tiny/9' is served here" in answer.body["error"]


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/verify", {"problem_id": "tiny/2", "tests": ["assert True"]}, "unknown field 'tests'"),
        ("/verify", {"task": TASK}, "unknown field 'task'"),
        ("/score", {}, "needs task, or problem_id"),
        ("/score", {"task": TASK, "tests": ["add(1)"]}, "field 'tests'"),
        ("/rank", {"task": TASK, "min_p": -1}, "field 'min_p'"),
    ],
)
def test_bad_input_is_400_and_names_the_field(
    server: ServerProcess, path: str, fields: dict[str, Any], said: str
) -> None:
    answer = server.post(path, programs=[RIGHT], **fields)
    assert answer.status == 400
    assert said in answer.body["error"]


@pytest.mark.parametrize(("size", "status"), [(300_000, 400), (300_001, 413), (5_000_000, 413)])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_beyond_the_limit_is_413(
    server: ServerProcess, size: int, status: int, chunked: bool
) -> None:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    headers = {"Content-Type": "application/json"}
    body = (b" " * 50_000 for _ in range(size // 50_000)) if chunked else b" " * size
    if chunked and size % 50_000:
        body = iter([b" " * size])
    connection.request("POST", "/score", body=body, headers=headers, encode_chunked=chunked)
    answer = connection.getresponse()
    text = json.loads(answer.read())["error"]
    connection.close()
    assert answer.status == status, text
    assert ("300000 bytes" in text) == (status == 413)


def test_other_paths_methods_and_hosts(server: ServerProcess) -> None:
    assert server.ask("GET", "/nothing").status == 404
    assert server.ask("GET", "/score").status == 405
    preflight = server.ask("OPTIONS", "/score", headers={"Origin": "http://evil.example"})
    assert preflight.status == 405
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]
    rebound = server.ask("GET", "/health", headers={"Host": "evil.example"})
    assert rebound.status == 403
    plain = server.ask("POST", "/score", raw=b"{}", headers={"Content-Type": "text/plain"})
    assert plain.status == 415


def test_programs_made_to_hurt_the_reader_are_scored_like_others(
    server: ServerProcess, loaded: Critic
) -> None:
    hostile = [
        "-" * 16_000 + "1", "(" * 16_000, "1+" * 8_000 + "1", "\0", "", "a" * 16_384,
        "x" + "[0]" * 500, "if 1:\n" * 90,
    ]  # fmt: skip
    answer = server.post("/score", programs=hostile, task=TASK)
    assert answer.status == 200, answer.body
    assert answer.body["scores"] == scores_of(loaded, make_problem(TASK), hostile)
    ranked = server.post("/rank", programs=hostile, task=TASK)
    assert (ranked.status, ranked.body["answer"]) == (200, None)
    assert server.ask("GET", "/health").status == 200


@contextmanager
def background(ask: Callable[..., Answer], *arguments: Any, **fields: Any) -> Iterator[Future[Any]]:
    """A request that is made meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(ask, *arguments, **fields)


def wait_until_busy(server: ServerProcess) -> None:
    until = time.monotonic() + 30
    while not server.ask("GET", "/health").body["busy"]:
        assert time.monotonic() < until, "no job began"
        time.sleep(0.02)


@contextmanager
def endless_programs(server: ServerProcess) -> Iterator[Future[Any]]:
    """Keeps the server's thread busy for some seconds."""
    with background(server.post, "/verify", programs=ENDLESS, problem_id="tiny/2") as running:
        wait_until_busy(server)
        yield running


def test_a_full_queue_is_429_and_a_late_turn_503(
    critic: Path, problems: Path, tmp_path: Path
) -> None:
    impatient = ServerProcess(
        tmp_path / "log", "--critic", critic, "--problems", problems, "--queue", 1, "--timeout", 3
    )
    try:
        with endless_programs(impatient) as running:
            with background(impatient.post, "/score", programs=[RIGHT], task=TASK) as late:
                impatient.wait_until_queued(1)
                refused = impatient.post("/score", programs=[RIGHT], task=TASK)
            assert refused.status == 429
            assert int(refused.headers["Retry-After"]) >= 1
            answer = late.result()
            assert answer.status == 503
            assert "did not come within 3 s" in answer.body["error"]
            assert not running.done(), "the endless programs ended too soon to show anything"
            assert impatient.ask("GET", "/health").body["waiting"] == 0, "it was not dropped"
        verdicts = running.result().body["verdicts"]
        assert [row["verdict"] for row in verdicts] == ["timeout"] * 2
        assert impatient.post("/score", programs=[RIGHT], task=TASK).status == 200
    finally:
        impatient.kill()


def test_stopping_finishes_what_runs_and_refuses_what_waits(
    critic: Path, problems: Path, tmp_path: Path
) -> None:
    stopping = ServerProcess(
        tmp_path / "log", "--critic", critic, "--problems", problems, "--timeout", 120
    )
    try:
        with endless_programs(stopping) as running:
            # A client that goes away takes its job with it.
            leaving = http.client.HTTPConnection(stopping.host, stopping.port)
            body = json.dumps({"programs": [RIGHT], "task": TASK})
            leaving.request("POST", "/score", body, {"Content-Type": "application/json"})
            stopping.wait_until_queued(1)
            leaving.close()
            stopping.wait_until_queued(0)
            with background(stopping.post, "/score", programs=[RIGHT], task=TASK) as waiting:
                stopping.wait_until_queued(1)
                assert not running.done(), "the endless programs ended too soon to show anything"
                stopping.process.send_signal(signal.SIGTERM)
            assert waiting.result().status == 503
            assert waiting.result().body == {"error": "the server is stopping"}
        assert running.result().status == 200
        assert [row["verdict"] for row in running.result().body["verdicts"]] == ["timeout"] * 2
        assert stopping.process.wait(60) == 0
        assert stopping.log.rstrip().endswith("stopped")
        assert "Traceback" not in stopping.log
    finally:
        stopping.kill()


def test_with_a_token_other_machines_may_ask(critic: Path, tmp_path: Path) -> None:
    environment = {"OUROBOROS_TOKEN": TOKEN}
    guarded = ServerProcess(
        tmp_path / "log", "--critic", critic, "--host", "0.0.0.0", environment=environment
    )
    try:
        body = {"programs": [RIGHT], "task": TASK}
        for wrong in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
            refused = guarded.ask("POST", "/score", body, headers=wrong)
            assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        right = {"Authorization": f"Bearer {TOKEN}", "Host": "critic.example"}
        assert guarded.ask("POST", "/score", body, headers=right).status == 200
        assert guarded.ask("GET", "/health").status == 200
        verify_body = {"programs": [RIGHT], "problem_id": "tiny/2"}
        refused = guarded.ask("POST", "/verify", verify_body, headers=right)
        assert refused.status == 404
        assert "started without --problems" in refused.body["error"]
        assert guarded.stop(signal.SIGINT) == 0
        assert TOKEN not in guarded.log
    finally:
        guarded.kill()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], r"OUROBOROS_TOKEN"),
        (["--host", "::"], r"OUROBOROS_TOKEN"),
        (["--host", "no.such.host.invalid"], r"no such host"),
        (["--critic", "nowhere"], r"no critic here"),
        (["--problems", "nowhere.jsonl"], r"no such file"),
        (["--port", "65536"], r"expected a port"),
        (["--timeout", "0"], r"expected seconds above 0"),
        (["--queue", "0"], r"at least 1"),
    ],
)
def test_what_cannot_be_served_does_not_start(
    arguments: list[str],
    said: str,
    critic: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("OUROBOROS_TOKEN", raising=False)
    assert refused(monkeypatch, ["--critic", str(critic), "--port", "0", *arguments]) == 2
    assert re.search(said, capsys.readouterr().err)


def refused(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> int | str | None:
    """The exit status of `ouroboros serve`, in this process, where it would hang if it served."""

    def run(*_: object, **__: object) -> None:
        raise AssertionError("it serves")

    monkeypatch.setattr(uvicorn.Server, "run", run)
    with pytest.raises(SystemExit) as stopped:
        main(["serve", *arguments])
    return stopped.value.code


def test_an_address_in_use_is_said(
    server: ServerProcess,
    critic: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["--critic", str(critic), "--port", str(server.port)]
    assert refused(monkeypatch, arguments) == 2
    assert f"cannot listen on 127.0.0.1 port {server.port}" in capsys.readouterr().err


def test_a_process_without_a_token_says_at_once_why_it_stops(critic: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OUROBOROS_TOKEN"}
    program = (
        "import sys; from ouroboros.cli import main\n"
        "try:\n    main(sys.argv[1:])\nfinally:\n    print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--critic", str(critic), "--host", "0.0.0.0"],
        capture_output=True, text=True, env=environment, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "set OUROBOROS_TOKEN" in done.stderr
    assert done.stdout == "False\n", "torch was loaded first"


def test_under_overload_every_answer_is_right_or_a_refusal(
    critic: Path, problems: Path, loaded: Critic, tmp_path: Path
) -> None:
    clients, rounds = 16, 8
    # Without a sandbox: what does not run must not disturb what does.
    crowded = ServerProcess(
        tmp_path / "log", "--critic", critic, "--problems", problems, "--queue", 2,
        environment={"OUROBOROS_NSJAIL": "/nowhere/nsjail"},
    )  # fmt: skip
    programs = [
        [f"def add(x):\n    y = x * {number}\n    return y + {n}\n" for n in range(12)]
        for number in range(clients)
    ]
    expected = [scores_of(loaded, problem(2), programs[number]) for number in range(clients)]
    answers: list[tuple[int, Answer]] = []
    together = threading.Barrier(clients)

    def client(number: int) -> None:
        together.wait()
        for _ in range(rounds):
            answer = crowded.post("/score", programs=programs[number], problem_id="tiny/2")
            answers.append((number, answer))

    try:
        with ThreadPoolExecutor(clients) as pool:
            for future in [pool.submit(client, number) for number in range(clients)]:
                future.result()
        assert len(answers) == clients * rounds
        statuses = {answer.status for _, answer in answers}
        assert statuses <= {200, 429, 503}
        assert {200, 429} <= statuses, "nothing was overloaded"
        for number, answer in answers:
            if answer.status == 200:
                assert answer.body["scores"] == expected[number]
        refused = crowded.post("/verify", programs=[RIGHT], problem_id="tiny/2")
        assert refused.status == 503
        assert "the sandbox cannot be used here" in refused.body["error"]
        assert "/nowhere/nsjail" in crowded.log
        after = crowded.post("/score", programs=programs[0], problem_id="tiny/2")
        assert after.body["scores"] == expected[0]
        assert crowded.ask("GET", "/health").body["waiting"] == 0
    finally:
        crowded.kill()
