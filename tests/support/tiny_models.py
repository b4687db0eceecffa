"""A tiny random Qwen2 for tests: real files, real tokenizer, no download.

`make_tiny_qwen2(directory)` writes a transformers directory that transformers and vLLM (CPU and
CUDA) load as they load Qwen2.5-Coder: the same architecture, tied embeddings, the same special
tokens and a ChatML template. It takes a second or two. By hand:

    python tests/support/tiny_models.py DIRECTORY [--seed N]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
CHAT_TEMPLATE = (
    "{%- if messages[0]['role'] != 'system' %}"
    "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. "
    "You are a helpful assistant.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
# The text the tokenizer learns its merges from: enough Python and task prose that prompts are
# a few dozen tokens, not hundreds.
CORPUS = (
    "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
    "Can you complete the following Python function?",
    "Write a function to find the shared elements from the given two lists.",
    "Write a python function to remove the first and last occurrence of a given character.",
    "```python\ndef solve(numbers, k):\n    result = []\n    for number in numbers:\n"
    "        if number > k:\n            result.append(number)\n    return result\n```\n",
    "def count(text):\n    total = 0\n    for letter in text:\n        total += 1\n"
    "    return total\n",
    "import math\nclass Pair(object):\n    def __init__(self, a, b):\n        self.a = a\n",
    "assert count('hello') == 5\nassert solve([1, 2, 3], 1) == [2, 3]\nprint(len(set(x)))\n",
)


def make_tiny_qwen2(
    directory: Path | str,
    seed: int = 0,
    *,
    hidden_size: int = 64,
    layers: int = 2,
    vocab_size: int = 512,
    context: int = 2048,
) -> Path:
    """Write a random Qwen2 causal LM with its tokenizer to `directory` and return it.

    Args:
        seed: decides the weights; the same seed gives the same bytes.
        hidden_size: a multiple of 64: attention heads are 32 wide (the least vLLM's CPU attention
            takes), two query heads to each key head.
        context: the longest sequence, in tokens.
    """
    import torch
    from transformers import GenerationConfig, Qwen2Config, Qwen2ForCausalLM

    directory = Path(directory)
    tokenizer = tiny_tokenizer(vocab_size)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    turn_end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=hidden_size // 32,
        num_key_value_heads=hidden_size // 64,
        max_position_embeddings=context,
        max_window_layers=layers,
        tie_word_embeddings=True,
        # Wide enough that the next-token distribution is peaked: a random model with the usual
        # 0.02 samples almost uniformly, and greedy ties would be decided by rounding.
        initializer_range=0.2,
        bos_token_id=end,
        eos_token_id=turn_end,
        pad_token_id=end,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(
        bos_token_id=end, eos_token_id=[turn_end, end], pad_token_id=end
    )
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def tiny_tokenizer(vocab_size: int = 512) -> Any:
    """A byte-level BPE tokenizer with Qwen's special tokens and a ChatML template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=make_tiny_qwen2.__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(make_tiny_qwen2(options.directory, options.seed))
