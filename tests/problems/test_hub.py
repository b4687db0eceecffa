"""The hub source, through the real `datasets` client, against a hub on the loopback interface."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.problems.loopback_hub import serve
from tests.problems.test_evalplus import HUB_HUMANEVAL, HUB_MBPP
from tests.problems.test_formats import HUMANEVAL_ROW, MBPP_ROW

REVISION = "0123456789abcdef0123456789abcdef01234567"
LOAD = """
import sys
from pathlib import Path
from ouroboros.errors import run_main
from ouroboros.jsonl import dumps
from ouroboros.problems.params import ProblemsParams
from ouroboros.problems.sources import load_set
from ouroboros.records import to_dict

def main():
    name, revision, subset = sys.argv[1:]
    params = ProblemsParams(source="hub", name=name, revision=revision, subset=subset)
    for problem in load_set(params, Path()):
        print(dumps(to_dict(problem)))

run_main(main)
"""


STRICTER = """
import sys
from pathlib import Path
from ouroboros.errors import run_main
from ouroboros.problems.params import StricterParams
from ouroboros.problems.stricter import load_stricter

def main():
    name, revision, _ = sys.argv[1:]
    for entry in load_stricter(StricterParams(source="hub", name=name, revision=revision), Path()):
        print(entry.problem_id, entry.entry_point, entry.inputs, entry.atol)

run_main(main)
"""


def parquet(rows: list[dict[str, object]]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    sink = io.BytesIO()
    # An empty list of strings has no type of its own.
    schema = pyarrow.schema(
        {
            key: {str: pyarrow.string(), int: pyarrow.int32()}.get(
                type(value), pyarrow.list_(pyarrow.string())
            )
            for key, value in rows[0].items()
        }.items()
    )
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), sink)
    return sink.getvalue()


def card(configs: dict[str, dict[str, str]]) -> bytes:
    """A dataset card that declares each configuration's files, as the published cards do."""
    listed = [
        {
            "config_name": name,
            "data_files": [{"split": split, "path": path} for split, path in splits.items()],
        }
        for name, splits in configs.items()
    ]
    return f"---\nconfigs: {json.dumps(listed)}\n---\n".encode()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    sanitized = {
        "source_file": "notebook",
        "task_id": 602,
        "prompt": "Write a function to double.",
        "code": "def double(x):\n  return 2 * x",
        "test_imports": [],
        "test_list": ["assert double(1) == 2"],
    }
    full = {"train": 601, "test": 11, "validation": 511, "prompt": 1}
    mbpp = {
        "README.md": card(
            {
                "full": {split: f"full/{split}-00000-of-00001.parquet" for split in full},
                "sanitized": {"train": "sanitized/train-00000-of-00001.parquet"},
            }
        ),
        "sanitized/train-00000-of-00001.parquet": parquet([sanitized]),
    }
    for split, number in full.items():
        rows = [{**MBPP_ROW, "task_id": number + 1}, {**MBPP_ROW, "task_id": number}]
        mbpp[f"full/{split}-00000-of-00001.parquet"] = parquet(rows)
    humaneval = {
        "README.md": card(
            {"openai_humaneval": {"test": "openai_humaneval/test-00000-of-00001.parquet"}}
        ),
        "openai_humaneval/test-00000-of-00001.parquet": parquet([HUMANEVAL_ROW]),
    }
    stricter = {
        f"evalplus/{name}": {
            "README.md": card({"default": {"test": "data/test-00000-of-00001.parquet"}}),
            "data/test-00000-of-00001.parquet": parquet([row]),
        }
        for name, row in (("mbppplus", HUB_MBPP), ("humanevalplus", HUB_HUMANEVAL))
    }
    repositories = {
        **stricter,
        "google-research-datasets/mbpp": mbpp,
        "openai/openai_humaneval": humaneval,
    }
    with serve(repositories, REVISION) as url:
        yield url


def load(
    name: str, endpoint: str, home: Path, *, revision: str = REVISION, subset: str = "full",
    program: str = LOAD, **environment: str,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Load a set in a fresh process: the client reads its environment when it is imported."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    proxies = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-c", program, name, revision, subset],
        env={**kept, **proxies, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def ids(result: subprocess.CompletedProcess[str]) -> list[str]:
    assert result.returncode == 0, result.stderr
    return [json.loads(line)["problem_id"] for line in result.stdout.splitlines()]


def test_all_splits_of_mbpp_in_natural_order(endpoint, tmp_path):
    numbers = [1, 2, 11, 12, 511, 512, 601, 602]
    assert ids(load("mbpp", endpoint, tmp_path)) == [f"mbpp/{number}" for number in numbers]


def test_sanitized_mbpp_and_humaneval(endpoint, tmp_path):
    assert ids(load("mbpp", endpoint, tmp_path, subset="sanitized")) == ["mbpp/602"]
    assert ids(load("humaneval", endpoint, tmp_path)) == ["humaneval/3"]


def test_stricter_sets(endpoint, tmp_path):
    mbpp = load("mbppplus", endpoint, tmp_path, program=STRICTER)
    assert mbpp.stdout == "mbpp/2 similar (((1, 2), (2, inf)), ((), ())) 0.0001\n", mbpp.stderr
    humaneval = load("humanevalplus", endpoint, tmp_path, program=STRICTER)
    assert humaneval.stdout == "humaneval/32 find_zero (([1, 2],), ([3, 1],)) 0.0001\n"


def test_another_revision_in_the_cache_is_not_taken_for_the_pinned_one(endpoint, tmp_path):
    load("mbppplus", endpoint, tmp_path, program=STRICTER)
    for environment in ({}, {"HF_HUB_OFFLINE": "1"}):
        other = load(
            "mbppplus", endpoint, tmp_path, program=STRICTER, revision="f" * 40, **environment
        )
        assert other.returncode == 2
        assert f"evalplus/mbppplus at revision {'f' * 40} could not be loaded" in other.stderr
        assert "Traceback" not in other.stderr


def test_cached_copy_serves_offline(endpoint, tmp_path):
    online = load("humaneval", endpoint, tmp_path)
    offline = load("humaneval", endpoint, tmp_path, HF_HUB_OFFLINE="1")
    assert ids(offline) == ids(online)
    assert offline.stdout == online.stdout


def test_unreachable_hub_says_what_was_tried_and_what_to_do(tmp_path):
    result = load("mbpp", "http://127.0.0.1:9", tmp_path, HF_HUB_OFFLINE="1")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "error: google-research-datasets/mbpp (full) at revision 0123456" in result.stderr
    assert "could not be loaded from http://127.0.0.1:9" in result.stderr
    assert "HF_HUB_OFFLINE=1" in result.stderr
    assert "source: path" in result.stderr


def test_unknown_revision(endpoint, tmp_path):
    result = load("mbpp", endpoint, tmp_path, revision="f" * 40)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert f"at revision {'f' * 40}" in result.stderr
