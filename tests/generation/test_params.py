"""The generate block: what is refused, and in which words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from ouroboros.errors import InputError
from ouroboros.generation.params import GenerateParams, OpenaiParams
from ouroboros.params import load_params

ROOT = Path(__file__).resolve().parents[2]
GOOD: dict[str, Any] = {
    "engine": "vllm",
    "model": "packaged:smollm2-135m-instruct",
    "prompt": "smollm2-chat",
    "n": 4,
    "max_tokens": 64,
}


def load(tmp_path: Path, **changes: Any) -> GenerateParams:
    (tmp_path / "params").mkdir(exist_ok=True)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"profile": "p"}))
    block = {key: value for key, value in (GOOD | changes).items() if value != "leave out"}
    (tmp_path / "params" / "p.yaml").write_text(yaml.safe_dump({"generate": block}))
    return load_params("generate", GenerateParams, root=tmp_path)


@pytest.mark.parametrize("profile", ["cpu", "a100"])
def test_both_profiles_load(profile: str, tmp_path: Path) -> None:
    (tmp_path / "params").mkdir()
    main = (ROOT / "params.yaml").read_text().replace("profile: cpu", f"profile: {profile}")
    (tmp_path / "params.yaml").write_text(main)
    text = (ROOT / "params" / f"{profile}.yaml").read_text()
    (tmp_path / "params" / f"{profile}.yaml").write_text(text)
    params = load_params("generate", GenerateParams, root=tmp_path)
    assert params.engine == "vllm"
    assert (params.revision is None) == (profile == "cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 0}, "n must be at least 1, found 0"),
        ({"n": "8"}, "generate.n: expected an integer, found str '8'"),
        ({"temprature": 1.0}, "unknown param 'generate.temprature'"),
        ({"temperature": 0}, "temperature 0 always draws the same program: n must be 1, found 4"),
        ({"few_shot": ["mbpp/2"]}, "prompt 'smollm2-chat' has no place for examples"),
        ({"temperature": -0.5}, "temperature must be in [0, 2], found -0.5"),
        ({"top_p": 0}, "top_p must be in (0, 1], found 0"),
        ({"max_tokens": 0}, "max_tokens must be at least 1, found 0"),
        ({"max_tokens": 1024}, "leaves no room for a prompt in vllm.max_model_len (1024)"),
        ({"engine": "vlm"}, "expected one of 'vllm', 'openai', 'file', found 'vlm'"),
        ({"model": "leave out"}, "engine vllm needs a model"),
        ({"prompt": "chatml"}, "unknown prompt 'chatml'; known: qwen2.5-coder, smollm2-chat"),
        ({"prompt": "leave out"}, "unknown prompt None; known:"),
        ({"revision": "a" * 40}, "revision is only for a hub model"),
        ({"model": "Qwen/Qwen2.5", "revision": "main"}, "revision must be a commit"),
        ({"vllm": {"dtype": "int8"}}, "param 'dtype': expected one of 'float32', 'bfloat16'"),
        ({"vllm": {"max_seqs": 8}}, "unknown param 'max_seqs'"),
        ({"vllm": {"max_num_seqs": 0}}, "vllm.max_num_seqs must be at least 1"),
        ({"files": {"main": {"pth": "x"}}}, "unknown param 'pth'"),
        ({"engine": "openai", "model": "leave out"}, "engine openai needs a model"),
        ({"engine": "openai", "reviewer": True}, "reviewer is not supported with engine openai"),
        ({"openai": {"url": "x"}}, "unknown param 'url'"),
        ({"openai": {"api": "responses"}}, "expected one of 'completions', 'chat'"),
        ({"openai": {"base_url": "127.0.0.1:8000/v1"}}, "must look like http://HOST:PORT/v1"),
        ({"openai": {"base_url": "http:///v1"}}, "must look like http://HOST:PORT/v1"),
        ({"openai": {"base_url": "http://h:port/v1"}}, "must look like http://HOST:PORT/v1"),
        ({"openai": {"base_url": "http://h/v1?key=x"}}, "must look like http://HOST:PORT/v1"),
        ({"openai": {"base_url": "ftp://h/v1"}}, "must look like http://HOST:PORT/v1"),
        ({"openai": {"concurrency": 0}}, "openai.concurrency must be from 1 to 1000, found 0"),
        ({"openai": {"timeout_seconds": 0}}, "openai.timeout_seconds must be more than 0, found 0"),
        ({"openai": {"max_stop_strings": -1}}, "openai.max_stop_strings must be at least 0"),
        ({"openai": {"retries": -1}}, "openai.retries must be at least 0, found -1"),
        ({"openai": {"served_name": ""}}, "openai.served_name must not be empty"),
        ({"openai": {"logprobs": 1}}, "expected true or false, found int 1"),
        (
            {"engine": "openai", "prompt": "completion", "openai": {"api": "chat"}},
            "prompt 'completion' is a text to continue, which openai.api chat cannot send",
        ),
    ],
)
def test_bad_params_are_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, **changes)
    assert message in str(caught.value)
    assert "p.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({"api_key_variable": "sk-secret-123"}, "openai.api_key_variable must be the name of"),
        ({"base_url": "http://user:sk-secret-123@h/v1"}, "openai.base_url must hold no user"),
    ],
)
def test_a_key_in_the_params_is_refused_and_not_repeated(
    endpoint: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        load(tmp_path, openai=endpoint)
    assert message in str(caught.value)
    assert "sk-secret-123" not in str(caught.value)


def test_an_endpoint_has_a_context_of_its_own(tmp_path: Path) -> None:
    params = load(tmp_path, engine="openai", max_tokens=4096)
    assert (params.max_tokens, params.openai.api) == (4096, "completions")


@pytest.mark.parametrize("profile", ["cpu", "a100"])
def test_every_endpoint_param_stands_in_both_profiles(profile: str) -> None:
    """So that one run can override each with -S."""
    text = (ROOT / "params" / f"{profile}.yaml").read_text()
    given = yaml.safe_load(text)["generate"]["openai"]
    assert set(given) == {field.name for field in dataclasses.fields(OpenaiParams)}


def test_temperature_zero_with_one_sample_is_allowed(tmp_path: Path) -> None:
    assert load(tmp_path, temperature=0, n=1).temperature == 0.0


def test_engine_file_needs_neither_model_nor_prompt(tmp_path: Path) -> None:
    params = load(tmp_path, engine="file", model="leave out", prompt="leave out")
    assert params.model is None
