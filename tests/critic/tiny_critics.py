"""Tiny random backbones, labelled problems and trained critics for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ouroboros.records import Attempt, Candidate, LabelledProblem, Problem, Verdict

WORDS = (
    "a add all and any assert at begin body by capital count def defines div element else "
    "end even first for from function give given if import in input inside is it item "
    "items last len letter letters line list max may min missing mul name new no none not "
    "nothing number numbers of or out outside pass passes print problem prompt python "
    "return returns short space static sub sum syntax the to true false two undefined "
    "unused value values with without write wrong x y z "
)


def make_tiny_bert(directory: Path, *, cased: bool = False, seed: int = 0) -> Path:
    """A random two-layer BERT with a word-piece tokenizer (uncased by default), saved."""
    import string

    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = string.ascii_letters if cased else string.ascii_lowercase
    signs = [*string.punctuation, *string.digits, *letters]
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = list(
        dict.fromkeys([*specials, *signs, *(f"##{sign}" for sign in signs), *WORDS.split()])
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(str(directory / "vocab.txt"), do_lower_case=not cased)
    tokenizer.save_pretrained(directory)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(vocab),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=256,
    )
    BertModel(config).save_pretrained(directory)
    return directory


def make_tiny_decoder(directory: Path, kind: str, seed: int = 0, tied: bool = False) -> Path:
    """A random two-layer `qwen2` or `llama` with a byte-level tokenizer, saved as a causal LM.

    `tied`: its output layer is its embedding table.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast, Qwen2Config

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {sign: number for number, sign in enumerate(["<|endoftext|>", "<|im_end|>", *alphabet])}
    inner = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        # As published: Qwen2 pads with a token of its own, SmolLM2 with its end of text.
        pad_token="<|endoftext|>" if kind == "qwen2" else "<|im_end|>",
    )
    tokenizer.save_pretrained(directory)
    torch.manual_seed(seed)
    config_kind = {"qwen2": Qwen2Config, "llama": LlamaConfig}[kind]
    config = config_kind(
        vocab_size=len(vocab),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        intermediate_size=64,
        max_position_embeddings=1024,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    return directory


def make_tiny_byte_encoder(directory: Path, kind: str, seed: int = 0) -> Path:
    """A random two-layer `roberta` (as CodeBERT and UniXcoder) or `modernbert`, saved."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import (
        AutoModel,
        ModernBertConfig,
        PreTrainedTokenizerFast,
        RobertaConfig,
    )

    # As published: RoBERTa pads with number 1, which its positions count from.
    signs = [
        "<s>",
        "<pad>",
        "</s>",
        "<unk>",
        "<mask>",
        *sorted(pre_tokenizers.ByteLevel.alphabet()),
    ]
    inner = Tokenizer(models.BPE(vocab={sign: n for n, sign in enumerate(signs)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", cls_token="<s>",
        sep_token="</s>", pad_token="<pad>", unk_token="<unk>", mask_token="<mask>",
    )  # fmt: skip
    tokenizer.save_pretrained(directory)
    torch.manual_seed(seed)
    shape = {
        "vocab_size": len(signs),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }
    if kind == "roberta":
        config: RobertaConfig | ModernBertConfig = RobertaConfig(
            **shape, max_position_embeddings=256, type_vocab_size=1
        )
    else:
        config = ModernBertConfig(
            **shape, max_position_embeddings=256, cls_token_id=0, sep_token_id=2
        )
    AutoModel.from_config(config).save_pretrained(directory)
    return directory


def problem(number: int) -> Problem:
    """Write a function that adds `number`."""
    return Problem(
        problem_id=f"tiny/{number}",
        prompt_text=f"Write a function to add {number} to a given number.",
        entry_point="add",
        tests=(f"assert add(1) == {1 + number}", f"assert add(0) == {number}"),
        visible_tests=(f"assert add(1) == {1 + number}",),
    )


def attempt(number: int, index: int, code: str, verdict: str, tests: Sequence[str] = ()) -> Attempt:
    """One attempt of problem `number`; index -1 is the greedy one."""
    key = {"problem_id": f"tiny/{number}", "sample_index": index}
    return Attempt(
        candidate=Candidate(**key, code=code, sampling="greedy" if index < 0 else "sample"),
        verdict=Verdict(**key, verdict=verdict, tests=tuple(tests)),
    )


def labelled(number: int, kinds: str = "ppff") -> LabelledProblem:
    """A problem whose attempts pass (p), fail (f), nearly pass (n) or do not parse (s)."""
    attempts = []
    for index, kind in enumerate(kinds):
        good = f"def add(x):\n    y = x + {number}\n    return y + {index} - {index}\n"
        code, verdict, tests = {
            "p": (good, "pass", ("pass", "pass")),
            "f": (good.replace(" + ", " * ", 1), "wrong_answer", ("fail", "fail")),
            "n": (good.replace("return y", "return 1 + y"), "wrong_answer", ("pass", "fail")),
            "s": (good.replace("(x)", "(x"), "syntax_error", ("error", "error")),
        }[kind]
        attempts.append(attempt(number, index, code, verdict, tests))
    return LabelledProblem(problem=problem(number), attempts=tuple(attempts))


def train_tiny_critic(folder: Path) -> Path:
    """A real critic, trained for two steps; it tells programs that differ in one letter apart, so
    that a mixed-up score cannot pass for the right one."""
    from ouroboros.critic.params import CriticParams, CurriculumPhase
    from ouroboros.critic.train import Outputs, train_critic

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OUROBOROS_CACHE", str(folder / "cache"))
        train_critic(
            params=CriticParams(
                backbone=str(make_tiny_decoder(folder / "backbone", "qwen2")),
                steps=2, learning_rate=1e-3, max_length=400, threads=1,
            ),
            curriculum=(CurriculumPhase(name="balanced", negatives="balanced"),),
            train=[labelled(n, "ppffs") for n in range(4)],
            dev=[labelled(9, "pfs")],
            outputs=Outputs(
                critic=folder / "critic", phases=folder / "phases",
                metrics=folder / "m.json", curve=folder / "c.csv",
            ),
        )  # fmt: skip
    return folder / "critic"
