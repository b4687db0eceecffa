"""The packaged model, converted, and models that cannot be found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ouroboros.errors import UserError
from ouroboros.generation.weights import (
    PACKAGED_MODELS,
    directory_digest,
    packaged_model,
    resolve_model,
)
from ouroboros.store import cache_dir
from tests.support.tiny_models import make_tiny_qwen2

SMOLLM2 = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def smollm2() -> Path:
    # Converted once per checkout: it is 540 MB.
    return packaged_model(SMOLLM2, cache_dir())


def test_the_converted_weights_are_those_transformers_reads(smollm2: Path) -> None:
    """Against transformers' own reader of GGUF files: the same tensors, bit by bit."""
    import importlib.util

    import torch
    from transformers import AutoModelForCausalLM

    spec = importlib.util.find_spec(PACKAGED_MODELS[SMOLLM2].package)
    assert spec is not None
    folder = next(iter(spec.submodule_search_locations or []))
    peer = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=PACKAGED_MODELS[SMOLLM2].filename, dtype=torch.float32
    ).state_dict()
    ours = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).state_dict()
    assert ours.keys() == peer.keys()
    different = [name for name in ours if not torch.equal(ours[name], peer[name])]
    assert not different


def test_the_converted_model_answers_sensibly_and_ends_its_turn(smollm2: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True, return_tensors="pt", return_dict=True,
    )  # fmt: skip
    answer = model.generate(**prompt, max_new_tokens=40, do_sample=False)[0]
    text = tokenizer.decode(answer[prompt["input_ids"].shape[1] :])
    assert "Paris" in text
    assert text.endswith("<|im_end|>")


def test_the_tokenizer_goes_there_and_back(smollm2: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    source = Path(__file__).read_text(encoding="utf-8") + "\n\tcafé 中文 'don't' x=12345"
    ids = tokenizer(source)["input_ids"]
    assert tokenizer.decode(ids) == source
    # Each digit is a token of its own, as the model was trained.
    assert len(tokenizer("12345")["input_ids"]) == 5
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", 2)
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer(text)["input_ids"][0] == tokenizer.convert_tokens_to_ids("<|im_start|>")


def test_a_directory_is_known_by_its_contents(tmp_path: Path) -> None:
    one = make_tiny_qwen2(tmp_path / "one", seed=0)
    same = make_tiny_qwen2(tmp_path / "same", seed=0)
    other = make_tiny_qwen2(tmp_path / "other", seed=1)
    assert directory_digest(one) == directory_digest(same) != directory_digest(other)
    found = resolve_model(str(one), None, tmp_path)
    assert found.path == one
    assert found.identity == f"directory:{directory_digest(one)}"


def test_unknown_models_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown packaged model 'gpt'\n  known: packaged:smollm2"):
        resolve_model("packaged:gpt", None, tmp_path)
    with pytest.raises(UserError, match=r"no such directory with a config\.json"):
        resolve_model("./nowhere", None, tmp_path)


def test_a_hub_model_without_network_or_cache_says_what_to_do(tmp_path: Path) -> None:
    # In a process of its own, since the hub client reads its settings when it is imported. The
    # address is one where nothing listens.
    code = (
        "from pathlib import Path\n"
        "from ouroboros.errors import run_main\n"
        "from ouroboros.generation.weights import resolve_model\n"
        "run_main(lambda: print(resolve_model('org/model', 'a' * 40, Path('.')).path))\n"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    environment.pop("HF_HUB_CACHE", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 2, done.stderr
    assert f"model 'org/model' at revision {'a' * 40} is neither in the hub cache" in done.stderr
    assert str(tmp_path) in done.stderr
    assert "set HF_HOME to a cache that holds it" in done.stderr

    # With the commit in the cache the network is not asked.
    snapshot = tmp_path / "hub" / "models--org--model" / "snapshots" / ("a" * 40)
    make_tiny_qwen2(snapshot)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(snapshot)
