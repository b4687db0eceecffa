"""Reading the first token alone gives the rewards, and the gradients, of the whole layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSequenceClassification

from ouroboros.critic.first_token import read_first_token_alone
from tests.critic.tiny_critics import make_tiny_bert, make_tiny_byte_encoder, make_tiny_decoder

MAKERS = {
    "bert": make_tiny_bert,
    "roberta": lambda folder: make_tiny_byte_encoder(folder, "roberta"),
    "modernbert": lambda folder: make_tiny_byte_encoder(folder, "modernbert"),
    "llama": lambda folder: make_tiny_decoder(folder, "llama"),
}
IDS = torch.tensor([[2, 40, 41, 42, 3], [2, 43, 44, 3, 1]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("kind", MAKERS)
def test_rewards_and_gradients_are_those_of_the_whole_model(
    kind: str, padded: bool, tmp_path: Path
) -> None:
    path = MAKERS[kind](tmp_path / kind)
    found = []
    for change in (False, True):
        torch.manual_seed(0)
        model = AutoModelForSequenceClassification.from_pretrained(path, num_labels=1).eval()
        if change:
            whole = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
            read_first_token_alone(model)
            cut = model(input_ids=IDS, attention_mask=MASK, output_hidden_states=True)
            shapes = [len(made.hidden_states[-1][0]) for made in (whole, cut)]
            assert shapes == ([5, 1] if kind in ("bert", "roberta") else [5, 5])
        mask = MASK if padded else None
        logits = model(input_ids=IDS, attention_mask=mask).logits
        logits.square().sum().backward()
        gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
        found.append((logits.detach(), gradients))
    (whole_logits, whole_gradients), (cut_logits, cut_gradients) = found
    assert torch.allclose(whole_logits, cut_logits, atol=1e-6)
    assert whole_gradients.keys() == cut_gradients.keys()
    for name, gradient in whole_gradients.items():
        assert torch.allclose(gradient, cut_gradients[name], atol=1e-5), name


def test_adapters_put_in_later_are_used(tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(
        make_tiny_bert(tmp_path / "bert"), num_labels=1
    )
    read_first_token_alone(model)
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", target_modules="all-linear"))
    adapted(input_ids=IDS, attention_mask=MASK).logits.sum().backward()
    last = [p for name, p in adapted.named_parameters() if "layer.1" in name and "lora_B" in name]
    assert last
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in last)
