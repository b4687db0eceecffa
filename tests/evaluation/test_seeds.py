"""Several critics: training seeds as a second source of chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ouroboros.cli import main
from ouroboros.errors import InputError, UserError
from ouroboros.estimators import paired_bootstrap
from ouroboros.evaluation.seeds import claims, read_tables, two_way_interval


def write(path: Path, critic: list[float], names: list[str] | None = None) -> Path:
    names = names or [f"p/{n}" for n in range(len(critic))]
    rows = [
        f"{name},0.25,{value},{n % 2}"
        for n, (name, value) in enumerate(zip(names, critic, strict=True))
    ]
    path.write_text("problem_id,pass_at_1,critic_pass,mean_logprob_pass\n" + "\n".join(rows) + "\n")
    return path


def test_equal_critics_give_the_interval_of_one():
    one = np.random.default_rng(0).random(60) - 0.3
    both = two_way_interval(np.stack([one, one]), seed=1)
    alone = paired_bootstrap(one, np.zeros(60), seed=1)
    assert both.estimate == pytest.approx(alone.estimate)
    assert both.low == pytest.approx(alone.low, abs=0.01)
    assert both.high == pytest.approx(alone.high, abs=0.01)


def test_the_interval_covers_the_truth_over_problems_and_critics():
    """Critics differ by 0.05, problems by 0.4: intervals over problems alone are too narrow."""
    both = alone = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        values = 0.1 + random.normal(0, 0.05, (5, 1)) + random.normal(0, 0.4, (1, 200))
        found = two_way_interval(values, replicates=400, seed=seed)
        narrow = paired_bootstrap(values[0], np.zeros(200), replicates=400, seed=seed)
        both += found.low <= 0.1 <= found.high
        alone += narrow.low <= 0.1 <= narrow.high
    assert both >= 182
    assert alone < both


def test_the_command_prints_each_critic_and_the_claims(tmp_path: Path, capsys):
    tables = [
        write(tmp_path / f"{seed}.csv", [float((n + seed) % 3 > 0) for n in range(40)])
        for seed in range(3)
    ]
    with pytest.raises(SystemExit) as done:
        main(["seeds", *map(str, tables)])
    assert done.value.code == 0
    text = capsys.readouterr().out
    assert "3 critics on 40 problems; random pass@1 25.0%" in text
    assert "verifier pass@1 > baseline pass@1: yes (+41.7 pp" in text
    assert "verifier pass@1 > likelihood pass@1: " in text
    assert claims(read_tables(tables))["verifier_over_baseline"].interval.problems == 40


def test_tables_that_do_not_belong_together_are_refused(tmp_path: Path):
    good = write(tmp_path / "a.csv", [1.0, 0.0])
    with pytest.raises(UserError, match="from two tables on"):
        read_tables([good])
    with pytest.raises(InputError, match=r"b\.csv: holds other problems than .*a\.csv.*'p/1'"):
        read_tables([good, write(tmp_path / "b.csv", [1.0, 0.0], ["p/0", "q/1"])])
    with pytest.raises(UserError, match=r"nowhere\.csv: cannot be read"):
        read_tables([good, tmp_path / "nowhere.csv"])
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"other\.csv: no column 'problem_id'"):
        read_tables([good, other])
    odd = write(tmp_path / "odd.csv", [1.0, 0.0])
    odd.write_text(odd.read_text().replace("0.25,1.0", "0.25,x"))
    with pytest.raises(InputError, match="'critic_pass' of problem 'p/0' is no number: 'x'"):
        read_tables([good, odd])
