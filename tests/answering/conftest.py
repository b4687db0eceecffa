"""A tiny critic, and a project folder whose generator is tiny too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ouroboros.cli import main
from tests.critic.tiny_critics import train_tiny_critic
from tests.support.tiny_models import make_tiny_qwen2

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def critic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_critic(tmp_path_factory.mktemp("answering_critic"))


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
