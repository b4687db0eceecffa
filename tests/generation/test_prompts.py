"""The exact text each model family reads."""

from __future__ import annotations

import dataclasses

import pytest

from ouroboros.generation.prompts import TEMPLATES, Prompt, build_prompt
from ouroboros.records import Problem
from tests.support.tiny_models import tiny_tokenizer

TASK = Problem(
    problem_id="mbpp/11",
    prompt_text="Write a python function to count {braces} in the given string.\n",
    entry_point="count",
    tests=("assert count('{}') == 1", "assert count('') == 0"),
    visible_tests=("assert count('{}') == 1",),
)
FUNCTION = Problem(
    problem_id="humaneval/0",
    prompt_text='import math\n\n\ndef area(r: float) -> float:\n    """Area.\n    """\n',
    entry_point="area",
    setup_code="import math",
    check="def check(candidate):\n    assert candidate(0) == 0\n",
    visible_tests=("assert area(0) == 0",),
)
SMOLLM2_CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


def prompt(problem: Problem, template: str, tokenizer) -> Prompt:
    return build_prompt(problem, TEMPLATES[template], tokenizer)


def test_qwen_task(tokenizer) -> None:
    built = prompt(TASK, "qwen2.5-coder", tokenizer)
    assert built.text == (
        "<|im_start|>system\n"
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
        "Can you complete the following Python function?\n"
        "```python\n"
        '"""\n'
        "Write a python function to count {braces} in the given string.\n"
        "assert count('{}') == 1\n"
        '"""\n'
        "```\n"
        "<|im_end|>\n"
        "<|im_start|>assistant\n"
        "```python\n"
    )
    assert built.reply == "```python\n"
    assert built.stop == ("\n```", "\nif __name__", "\ndef main(", "\nprint(", "\nassert ")


def test_qwen_function(tokenizer) -> None:
    built = prompt(FUNCTION, "qwen2.5-coder", tokenizer)
    assert built.text == (
        "<|im_start|>system\n"
        "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n"
        "Can you complete the following Python function?\n"
        "```python\n"
        "import math\n\n\n"
        "def area(r: float) -> float:\n"
        '    """Area.\n'
        '    """\n'
        "```\n"
        "<|im_end|>\n"
        "<|im_start|>assistant\n"
        "```python\n"
    )


def test_smollm2_task(tokenizer) -> None:
    tokenizer.chat_template, kept = SMOLLM2_CHAT_TEMPLATE, tokenizer.chat_template
    built = prompt(TASK, "smollm2-chat", tokenizer)
    tokenizer.chat_template = kept
    assert built.text == (
        "<|im_start|>system\n"
        "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
        "<|im_start|>user\n"
        "Write a Python function to solve this task.\n"
        "Write a python function to count {braces} in the given string.\n"
        "Your code should pass this test:\n"
        "assert count('{}') == 1<|im_end|>\n"
        "<|im_start|>assistant\n"
        "```python\n"
    )


def test_smollm2_function_begins_the_reply_with_the_given_code(tokenizer) -> None:
    built = prompt(FUNCTION, "smollm2-chat", tokenizer)
    given = FUNCTION.prompt_text.strip("\n")
    assert built.reply == "```python\n" + given
    assert built.text.endswith(
        "<|im_start|>user\nComplete this Python function.\n```python\n"
        + given
        + "\n```<|im_end|>\n<|im_start|>assistant\n```python\n"
        + given
    )


def test_completion_task(tokenizer) -> None:
    built = prompt(TASK, "completion", tokenizer)
    assert built.text == built.reply == (
        '"""\n'
        "Write a python function to count {braces} in the given string.\n"
        "assert count('{}') == 1\n"
        '"""\n'
    )  # fmt: skip


def test_completion_of_a_function_continues_the_given_code_byte_by_byte(tokenizer) -> None:
    built = prompt(FUNCTION, "completion", tokenizer)
    assert built.text == built.reply == FUNCTION.prompt_text
    assert "\ndef " in built.stop
    assert "\ndef " not in prompt(TASK, "completion", tokenizer).stop


EXAMPLE = dataclasses.replace(
    TASK,
    problem_id="mbpp/2",
    prompt_text="Write a function to double {text} of {tests}.",
    tests=("assert double(1) == 2", "assert double(2) == 4"),
    visible_tests=("assert double(1) == 2", "assert double(2) == 4"),
    reference="def double(x):\n    return {'{program}': 2 * x}['{program}']\n",
)


def test_few_shot_task(tokenizer) -> None:
    template = TEMPLATES["mbpp-few-shot"]
    # The task itself is never its own example.
    built = build_prompt(TASK, template, tokenizer, [EXAMPLE, TASK])
    assert built.text == (
        "You are an expert Python programmer, and here is your task: "
        "Write a function to double {text} of {tests}. Your code should pass these tests:\n\n"
        "assert double(1) == 2\n"
        "assert double(2) == 4\n"
        "[BEGIN]\n"
        "def double(x):\n"
        "    return {'{program}': 2 * x}['{program}']\n"
        "[DONE]\n\n"
        "You are an expert Python programmer, and here is your task: "
        "Write a python function to count {braces} in the given string. Your code should pass "
        "these tests:\n\n"
        "assert count('{}') == 1\n"
        "[BEGIN]\n"
    )
    assert built.reply == ""
    assert built.stop == ("\n[DONE]", "[DONE]")
    # Examples are for tasks in words; a function to complete is continued as it stands.
    assert build_prompt(FUNCTION, template, tokenizer, [EXAMPLE]).text == FUNCTION.prompt_text


@pytest.mark.parametrize("template", TEMPLATES)
def test_exactly_the_visible_tests_are_shown(template: str, tokenizer) -> None:
    for shown in range(3):
        problem = dataclasses.replace(TASK, visible_tests=TASK.tests[:shown])
        text = prompt(problem, template, tokenizer).text
        for index, test in enumerate(TASK.tests):
            assert text.count(test) == (1 if index < shown else 0)
        assert "{tests}" not in text
        assert "{text}" not in text


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_problem_that_looks_like_a_placeholder_is_not_filled_in(template: str, tokenizer) -> None:
    tricky = dataclasses.replace(TASK, prompt_text="Explain {tests} and {text} and {prompt}.")
    assert "Explain {tests} and {text} and {prompt}." in prompt(tricky, template, tokenizer).text


@pytest.mark.parametrize("problem", [TASK, FUNCTION], ids=["task", "function"])
@pytest.mark.parametrize("template", ["qwen2.5-coder", "smollm2-chat"])
def test_without_a_tokenizer_the_same_request_is_messages(
    problem: Problem, template: str, tokenizer
) -> None:
    with_text = prompt(problem, template, tokenizer)
    built = build_prompt(problem, TEMPLATES[template], None)
    assert built.messages == with_text.messages
    assert [message["role"] for message in built.messages][-1] == "user"
    assert (built.text, built.reply) == ("", "")
    rendered = tokenizer.apply_chat_template(
        list(built.messages), tokenize=False, add_generation_prompt=True
    )
    assert with_text.text == rendered + with_text.reply
    # The reply opens a fence itself: one must not end it.
    assert "\n```" in with_text.stop
    assert not any("```" in string for string in built.stop)
    assert len(built.stop) == 4, "more than OpenAI's API takes"


def test_a_text_to_continue_has_no_messages(tokenizer) -> None:
    assert prompt(TASK, "completion", tokenizer).messages == ()
