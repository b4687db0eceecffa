"""Loading and scoring: order, copies, batches, and folders that are no critic."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ouroboros import score
from ouroboros.cli import main
from ouroboros.critic.scoring import load_critic
from ouroboros.errors import InputError, UserError
from ouroboros.jsonl import write_records
from ouroboros.records import Candidate
from tests.critic.tiny_critics import problem, train_tiny_critic


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_critic(tmp_path_factory.mktemp("critic"))


ITEMS = [
    (problem(n), code)
    for n in range(3)
    for code in ("def add(x): return x", "def add(x):\n    y = x\n    return y + 1\n" * 4, "oops(")
]


def test_scores_do_not_depend_on_order_copies_or_batches(trained: Path) -> None:
    critic = load_critic(trained)
    scores = critic.score(ITEMS)
    assert critic.score(ITEMS[::-1])[::-1] == scores
    assert critic.score([*ITEMS, *ITEMS]) == scores * 2
    one_by_one = [critic.score([item])[0].reward for item in ITEMS]
    assert one_by_one == pytest.approx([score.reward for score in scores], abs=2e-5)
    small = replace(critic, tokens_per_forward=1).score(ITEMS)
    assert [s.reward for s in small] == pytest.approx([s.reward for s in scores], abs=2e-5)
    assert critic.score([]) == []


def test_the_command_adds_the_scores_to_each_row(trained: Path, tmp_path: Path) -> None:
    problems, candidates = tmp_path / "problems.jsonl", tmp_path / "candidates.jsonl"
    write_records(problems, [problem(n) for n in range(3)])
    rows = [
        Candidate(problem_id=item.problem_id, sample_index=5 - n, code=code, completion="kept")
        for n, (item, code) in enumerate(ITEMS[:6])
    ]
    write_records(candidates, rows, keep_order=True)
    out = tmp_path / "scored.jsonl"
    with pytest.raises(SystemExit) as done:
        main(["score", "--critic", str(trained), "--problems", str(problems),
              "--candidates", str(candidates), "--out", str(out)])  # fmt: skip
    assert done.value.code == 0
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["sample_index"], row["completion"]) for row in found] == [
        (n, "kept") for n in (5, 4, 3, 2, 1, 0)
    ]
    expected = load_critic(trained).score(ITEMS[:6])
    assert [(row["reward"], row["p_pass"]) for row in found] == [
        (one.reward, one.p_pass) for one in expected
    ]
    write_records(problems, [problem(7)])
    with pytest.raises(InputError, match=r"candidates\.jsonl:1: unknown problem"):
        score.run(trained, problems, candidates, out)


def test_copies_are_counted_as_progress(trained: Path) -> None:
    done: list[int] = []
    load_critic(trained).score(ITEMS * 3, done.append)
    assert sum(done) == len(ITEMS) * 3


def test_a_folder_that_is_no_critic_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no critic here \(no config.json\)"):
        load_critic(tmp_path)

    def broken(name: str) -> Path:
        shutil.copytree(trained, tmp_path / name)
        return tmp_path / name

    plain = broken("plain")
    config = json.loads((plain / "config.json").read_text())
    del config["ouroboros"]
    (plain / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="not a critic of this version"):
        load_critic(plain)

    other = broken("other")
    config = json.loads((other / "config.json").read_text())
    config["num_hidden_layers"] = 3
    config.pop("layer_types", None)
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="weights do not fit the configuration"):
        load_critic(other)

    cut = broken("cut")
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be loaded"):
        load_critic(cut)
