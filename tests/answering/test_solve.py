"""`ouroboros solve`: real prompts, store, sandbox and critic.

The fast tests put replies into the store of samples, under the keys the generator looks for, so
that it finds everything drawn and starts no engine. One slow test draws with the real one.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from transformers import AutoTokenizer

from ouroboros.answering.solve import drawing_params
from ouroboros.answering.tasks import make_problem
from ouroboros.errors import InputError, UserError
from ouroboros.generation.params import GenerateParams
from ouroboros.generation.prompts import TEMPLATES, build_prompt
from ouroboros.generation.requests import Completion
from ouroboros.generation.run import requests_of
from ouroboros.generation.vllm_engine import VllmEngine
from ouroboros.generation.weights import resolve_model
from ouroboros.params import load_params
from ouroboros.records import Candidate, to_dict
from ouroboros.store import ResultStore
from ouroboros.verification.params import ExecuteParams
from ouroboros.verification.run import verify
from tests.answering.conftest import Command

TASK = "Write a function to return the square of a number."
TEST = "assert square(3) == 9"
RIGHT = "def square(n):\n    return n * n\n"
OTHER = "def square(n):\n    return n ** 2\n"
WRONG = "def square(n):\n    return n + n\n"
BROKEN = "def square(n:\n"


def draw_beforehand(
    replies: Sequence[str], tests: Sequence[str] = (TEST,), seed: int | None = None
) -> None:
    """Keep these replies, the greedy one first, as if the project's generator had drawn them."""
    params = drawing_params(load_params("generate", GenerateParams), len(replies) - 1, seed)
    cache = Path("cache")
    model = resolve_model(str(params.model), params.revision, cache)
    tokenizer = AutoTokenizer.from_pretrained(model.path)
    source = (model.identity, VllmEngine(model, params.vllm, tokenizer).identity)
    problem = make_problem(TASK, tests)
    prompt = build_prompt(problem, TEMPLATES[str(params.prompt)], tokenizer)
    with ResultStore(cache / "samples.sqlite") as store:
        for place, (request, text) in enumerate(
            zip(requests_of(prompt, params), replies, strict=True)
        ):
            answer = Completion(
                text=text, finish_reason="stop", num_tokens=9, sum_logprob=-float(place)
            )
            store.put({request.key(source): to_dict(answer)})


def test_the_answer_is_a_program_that_passes_and_stdout_holds_nothing_else(
    project: Path, critic: Path, command: Command
) -> None:
    draw_beforehand([WRONG, RIGHT, WRONG, BROKEN, RIGHT])
    status, out, err = command("solve", TASK, "--test", TEST, "-n", 4, "--critic", critic)
    assert status == 0, err
    assert out == RIGHT
    assert err.splitlines()[-1].startswith("p_pass 0.")
    assert err.splitlines()[-1].endswith("; 5 programs, 3 distinct; 2 passed 1 test")


def test_json_shows_all_programs_best_first(project: Path, critic: Path, command: Command) -> None:
    draw_beforehand([WRONG, RIGHT, OTHER, WRONG])
    arguments = ("solve", TASK, "--test", TEST, "-n", 3, "--critic", critic)
    status, out, _ = command(*arguments, "--json")
    assert status == 0
    found = json.loads(out)
    assert (found["task"], found["entry_point"], found["tests"]) == (TASK, "square", [TEST])
    assert found["answered"]
    assert found["program"] == found["candidates"][0]["code"]
    assert found["p_pass"] == found["candidates"][0]["p_pass"]
    assert [one["verdict"] for one in found["candidates"]] == ["pass", "pass", "wrong_answer"]
    assert found["candidates"][0]["reward"] >= found["candidates"][1]["reward"]
    wrong = found["candidates"][2]
    # The likeliest of its copies, the greedy one.
    assert (wrong["sample_index"], wrong["sample_indices"]) == (-1, [-1, 2])
    assert wrong["sum_logprob"] == 0.0
    assert command(*arguments)[1] == found["program"]


@pytest.mark.parametrize("as_json", [False, True])
def test_where_none_passes_no_program_is_printed(
    as_json: bool, project: Path, critic: Path, command: Command
) -> None:
    draw_beforehand([WRONG, BROKEN])
    arguments = ["solve", TASK, "--test", TEST, "-n", 1, "--critic", critic]
    status, out, err = command(*arguments, *(["--json"] if as_json else []))
    assert status == 3
    assert "no answer: no program passes the tests; 2 programs, 2 distinct; 0 passed" in err
    if as_json:
        found = json.loads(out)
        assert (found["answered"], found["program"]) == (False, None)
        assert {one["verdict"] for one in found["candidates"]} == {"wrong_answer", "syntax_error"}
    else:
        assert out == ""


def test_min_p_declines_and_says_so(project: Path, critic: Path, command: Command) -> None:
    draw_beforehand([RIGHT, WRONG])
    arguments = ("solve", TASK, "--test", TEST, "-n", 1, "--critic", critic, "--min-p")
    assert command(*arguments, 0)[:2] == (0, RIGHT)
    status, out, err = command(*arguments, 1)
    assert (status, out) == (3, "")
    assert "no answer: the best program's p_pass is 0." in err
    assert "less than 1; 2 programs, 2 distinct; 1 passed 1 test" in err


def test_without_tests_the_critic_chooses_among_programs_that_parse(
    project: Path, critic: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUROBOROS_NSJAIL", "/nowhere/nsjail")  # nothing is run, nothing is needed
    draw_beforehand([BROKEN, "def twice(n):\n    return 2 * n\n", RIGHT], tests=())
    status, out, err = command("solve", TASK, "-n", 2, "--critic", critic, "--json")
    assert status == 0, err
    found = json.loads(out)
    assert (found["entry_point"], found["tests"], found["num_passed"]) == (None, [], None)
    assert [one["acceptable"] for one in found["candidates"]] == [True, True, False]
    assert found["candidates"][0]["reward"] >= found["candidates"][1]["reward"]
    assert found["candidates"][2]["code"] == BROKEN
    assert "none was run (no tests)" in err
    draw_beforehand([BROKEN, "Sorry."], tests=(), seed=3)
    status, out, err = command("solve", TASK, "-n", 1, "--seed", 3, "--critic", critic)
    assert (status, out) == (3, "")
    assert "no program is valid Python that defines a function" in err


def test_another_seed_has_samples_of_its_own(project: Path, critic: Path, command: Command) -> None:
    draw_beforehand([WRONG, RIGHT])
    draw_beforehand([WRONG, OTHER], seed=5)
    arguments = ("solve", TASK, "--test", TEST, "-n", 1, "--critic", critic)
    assert command(*arguments)[1] == RIGHT
    assert command(*arguments, "--seed", 5)[1] == OTHER


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--test", "assert square(3 == 9"), "--test 'assert square(3 == 9': not Python"),
        (("--test", "assert 9"), "--test 'assert 9': calls no function"),
        (("--critic", "nowhere"), "nowhere: no critic here"),
        (("--test", TEST, "--entry-point", "cube"), "does not use 'cube'"),
        (("-n", "0"), "expected a whole number of at least 1"),
    ],
)
def test_bad_input_is_named_before_anything_is_drawn(
    arguments: tuple[str, ...], said: str, project: Path, command: Command
) -> None:
    status, out, err = command("solve", TASK, *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert not (project / "cache" / "samples.sqlite").exists()


def test_tests_that_an_empty_program_passes_are_refused(
    project: Path, critic: Path, command: Command
) -> None:
    status, out, err = command("solve", TASK, "--test", "assert 1 or f(1)", "--critic", critic)
    assert (status, out) == (2, "")
    assert "an empty program passes the tests: they decide nothing" in err
    assert not (project / "cache" / "samples.sqlite").exists()


def test_without_a_sandbox_nothing_is_drawn_or_run(
    project: Path, critic: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUROBOROS_NSJAIL", "/nowhere/nsjail")
    status, out, err = command("solve", TASK, "--test", TEST, "--critic", critic)
    assert (status, out) == (2, "")
    assert "/nowhere/nsjail (from OUROBOROS_NSJAIL) is not an executable file" in err
    assert not (project / "cache" / "samples.sqlite").exists()


def test_outside_a_project_the_missing_params_are_named(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = command("solve", TASK)
    assert (status, out) == (2, "")
    assert "params.yaml: no such file; run this at the project's root" in err


def test_params_without_a_generator_or_that_n_are_refused() -> None:
    with pytest.raises(UserError, match=r"generate\.engine is file.*\n.*ouroboros rank"):
        drawing_params(GenerateParams(engine="file"), 4, None)
    params = GenerateParams(
        engine="vllm", model="packaged:smollm2-135m-instruct", prompt="smollm2-chat", n=1,
        temperature=0.0, seed=7, reviewer=True,
    )  # fmt: skip
    with pytest.raises(InputError, match="-n: temperature 0 always draws the same program"):
        drawing_params(params, 4, None)
    warm = dataclasses.replace(params, temperature=0.8)
    found = drawing_params(warm, 4, None)
    assert found == dataclasses.replace(warm, n=4, reviewer=False)
    assert drawing_params(warm, 4, 0).seed == 0


@pytest.mark.slow
def test_the_packaged_generator_solves_a_simple_task(project: Path, critic: Path) -> None:
    """In a process of its own: engine, sandbox and critic one after another."""
    block = {
        "engine": "vllm", "model": "packaged:smollm2-135m-instruct", "prompt": "smollm2-chat",
        "max_tokens": 64,
    }  # fmt: skip
    (project / "params" / "p.yaml").write_text(yaml.safe_dump({"generate": block}))

    def solve(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ouroboros.cli", "solve", TASK, "--test", TEST, "-n", "3",
             "--critic", str(critic), *arguments],
            env=dict(os.environ), capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip

    done = solve()
    assert done.returncode == 0, done.stderr[-3000:]
    harder = make_problem(TASK, ["assert square(12) == 144", "assert square(-3) == 9"])
    answer = Candidate(problem_id=harder.problem_id, sample_index=0, code=done.stdout)
    (verdict,) = verify([harder], [answer], ExecuteParams())
    assert verdict.passed, (verdict, done.stdout)
    assert "4 candidates" in done.stderr
    with sqlite3.connect(project / "cache" / "samples.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM results").fetchone() == (4,)

    again = solve("--json")
    assert again.returncode == 0, again.stderr[-3000:]
    assert json.loads(again.stdout)["program"].strip() == done.stdout.strip()
    assert "tokens/s" not in again.stderr, "the same question drew again"
