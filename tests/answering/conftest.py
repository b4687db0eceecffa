"""A tiny critic, and a project folder whose generator is tiny too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ouroboros.cli import main
from ouroboros.critic.params import CriticParams, CurriculumPhase
from ouroboros.critic.train import Outputs, train_critic
from tests.critic.tiny_critics import labelled, make_tiny_bert
from tests.support.tiny_models import make_tiny_qwen2

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real critic, trained for two steps."""
    folder = tmp_path_factory.mktemp("answering_critic")
    backbone = make_tiny_bert(folder / "backbone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUROBOROS_CACHE", str(folder / "cache"))
        train_critic(
            params=CriticParams(
                backbone=str(backbone), steps=2, learning_rate=1e-2, max_length=200, threads=1
            ),
            curriculum=(CurriculumPhase(name="balanced", negatives="balanced"),),
            train=[labelled(n, "ppffs") for n in range(4)],
            dev=[labelled(9, "pfs")],
            outputs=Outputs(
                critic=folder / "critic",
                phases=folder / "phases",
                metrics=folder / "m.json",
                curve=folder / "c.csv",
            ),
        )
    return folder / "critic"


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_qwen2(tmp_path_factory.mktemp("answering_generator") / "tiny")


@pytest.fixture
def project(tmp_path: Path, generator: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with params and a cache of its own, as the working directory."""
    (tmp_path / "params").mkdir()
    (tmp_path / "params.yaml").write_text(
        "profile: p\ngenerate: {seed: 0}\nexecute: {cpu_seconds: 1}\n"
    )
    block = {"engine": "vllm", "model": str(generator), "prompt": "qwen2.5-coder", "max_tokens": 64}
    (tmp_path / "params" / "p.yaml").write_text(yaml.safe_dump({"generate": block}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OUROBOROS_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs `ouroboros` with arguments; (exit status, standard output, standard error)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, err

    return run
