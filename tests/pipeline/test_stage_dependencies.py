"""dvc.yaml names, per stage, exactly the modules the stage's script can import."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"


def stages() -> dict[str, dict]:
    """Stage name -> its body in dvc.yaml (a foreach stage's template)."""
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: body.get("do", body) for name, body in declared.items()}


def module_file(name: str) -> Path | None:
    path = SOURCE.joinpath(*name.split("."))
    if path.with_suffix(".py").is_file():
        return path.with_suffix(".py")
    package = path / "__init__.py"
    return package if package.is_file() else None


def imported(path: Path) -> set[Path]:
    """Files of this project that one file imports, at its top or inside a function."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(SOURCE).parts[: -node.level] if node.level else ()
            base = ".".join((*package, *filter(None, [node.module])))
            # `from ouroboros.generation import prompts` may name a module.
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] == "ouroboros" and (file := module_file(name)):
                found.add(file)
    return found


def closure(script: Path) -> set[Path]:
    seen: set[Path] = set()
    waiting = [script]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting.extend(imported(path))
    # The package's own __init__ holds the version alone; a bump of it changes no result.
    return seen - {script, SOURCE / "ouroboros" / "__init__.py"}


def modules_under(dependency: Path) -> set[Path]:
    return set(dependency.rglob("*.py")) if dependency.is_dir() else {dependency}


@pytest.mark.parametrize("name", sorted(stages()))
def test_stage_depends_on_exactly_the_modules_it_imports(name: str) -> None:
    body = stages()[name]
    script = ROOT / body["cmd"].split()[1]
    declared = {ROOT / dep for dep in body["deps"] if dep.startswith("src/")}
    for dependency in declared:
        assert dependency.exists(), f"{name} depends on {dependency.name}, which does not exist"
    used = closure(script)
    covered = set().union(*(modules_under(dep) for dep in declared))
    missing = sorted(str(path.relative_to(ROOT)) for path in used - covered)
    assert not missing, f"{name} imports modules that dvc.yaml does not list: {missing}"
    idle = sorted(
        str(path.relative_to(ROOT)) for path in covered - used if path.name != "__init__.py"
    )
    assert not idle, f"{name} lists modules in dvc.yaml that it does not import: {idle}"


@pytest.mark.parametrize("name", sorted(stages()))
def test_stage_lists_its_own_script_and_says_what_it_does(name: str) -> None:
    body = stages()[name]
    assert body["cmd"].split()[1] in body["deps"]
    assert len(body["desc"]) > 20
