"""Strict loading of params from the two files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from ouroboros.errors import InputError, UserError
from ouroboros.params import load_params, require


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    n: int
    temperature: float = 0.8
    engine: Literal["vllm", "file"] = "vllm"
    path: str | None = None

    def __post_init__(self) -> None:
        require(self.n >= 1, f"n must be 1 or more: {self.n}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    name: str
    rate: float = 1.0


def write(root: Path, main: str, profile: str = "") -> Path:
    (root / "params").mkdir(exist_ok=True)
    (root / "params.yaml").write_text("profile: cpu\n" + main)
    (root / "params" / "cpu.yaml").write_text(profile or "{}\n")
    return root


def test_a_block_is_gathered_from_both_files(tmp_path):
    root = write(tmp_path, "generate: {temperature: 1}\n", "generate: {n: 8, path: null}\n")
    assert load_params("generate", Sampling, root=root) == Sampling(n=8, temperature=1.0)


def test_working_directory_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path, "generate: {n: 3}\n"))
    assert load_params("generate", Sampling).n == 3


def test_nested_block_and_list_block(tmp_path):
    root = write(
        tmp_path, "curriculum: [{name: a}, {name: b, rate: 0.1}]\n", "problems: {main: {n: 2}}\n"
    )
    assert load_params("problems.main", Sampling, root=root).n == 2
    phases = load_params("curriculum", tuple[Phase, ...], root=root)
    assert phases == (Phase(name="a"), Phase(name="b", rate=0.1))


@pytest.mark.parametrize("number", ["1e-05", "1e-5", "1E-5", "0.00001", "1.0e-5"])
def test_numbers_as_dvc_writes_and_reads_them(tmp_path, number):
    """`dvc exp run -S x=1e-5` writes 1e-05, which is a number in YAML 1.2 alone."""
    root = write(tmp_path, f"generate: {{n: 1, temperature: {number}}}\n")
    assert load_params("generate", Sampling, root=root).temperature == 1e-5


@pytest.mark.parametrize(
    ("main", "profile", "message"),
    [
        ("generate: {n: 1, heat: 2}", "", "params.yaml: unknown param 'generate.heat'"),
        ("generate: {n: 1, heat: 2}", "", "known in generate: n, temperature, engine, path"),
        ("", "generate: {n: 1, heat: 2}", "cpu.yaml: unknown param 'generate.heat'"),
        ("generate: {n: '1'}", "", "generate.n: expected an integer, found str '1'"),
        ("generate: {n: 1.0}", "", "generate.n: expected an integer, found float 1.0"),
        ("generate: {n: yes}", "", "generate.n: expected an integer, found str 'yes'"),
        ("generate: {n: true}", "", "generate.n: expected an integer, found bool True"),
        ("generate: {n: 1, engine: hf}", "", "expected one of 'vllm', 'file', found 'hf'"),
        ("generate: {n: null}", "", "generate.n: expected an integer, found NoneType"),
        ("generate: {temperature: 1}", "", "missing param generate.n"),
        ("generate: {n: 1}", "generate: {n: 1}", "param generate.n is given twice"),
        ("generate: {n: 0}", "", "params.yaml: generate: n must be 1 or more: 0"),
        ("generate: 3", "", "params.yaml: generate: expected a mapping"),
        ("split: {}", "", "missing params block 'generate'"),
        ("generator: {}", "generate: {n: 1}", "unknown params block 'generator'"),
        ("generate: {n: 1}", "profile: cpu", "unknown params block 'profile'"),
        ("generate: {n: 1, n: 2}", "", 'found duplicate key "n"'),
        ("generate: {n: 1}\ngenerate: {n: 2}", "", 'found duplicate key "generate"'),
        ("generate: {n: 1", "", "params.yaml: cannot be read as YAML"),
        ("", "- 1", "cpu.yaml: expected a mapping of params blocks"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, main, profile, message):
    root = write(tmp_path, main, profile)
    with pytest.raises(UserError) as error:
        load_params("generate", Sampling, root=root)
    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_wrong_item_of_a_list_block(tmp_path):
    root = write(tmp_path, "curriculum: [{name: a}, {name: b, rates: 1}]\n")
    with pytest.raises(InputError, match=r"curriculum\[1\]: unknown param 'rates'"):
        load_params("curriculum", tuple[Phase, ...], root=root)


def test_list_block_in_both_files(tmp_path):
    root = write(tmp_path, "curriculum: [{name: a}]\n", "curriculum: [{name: b}]\n")
    with pytest.raises(InputError, match="curriculum is given in both files"):
        load_params("curriculum", tuple[Phase, ...], root=root)


def test_unknown_profile_names_the_known_ones(tmp_path):
    root = write(tmp_path, "")
    (root / "params.yaml").write_text("profile: tpu\n")
    with pytest.raises(InputError, match=r"unknown profile 'tpu'\n  known: cpu"):
        load_params("generate", Sampling, root=root)
    (root / "params.yaml").write_text("generate: {n: 1}\n")
    with pytest.raises(InputError, match="profile must name a file in params/"):
        load_params("generate", Sampling, root=root)


def test_outside_the_project(tmp_path):
    with pytest.raises(UserError, match=r"params\.yaml: no such file; run this at the project's"):
        load_params("generate", Sampling, root=tmp_path)
