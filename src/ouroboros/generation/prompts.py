"""Prompts, one template per model family, as data.

A template has two forms: for a task described in words (MBPP and the starter set: text plus
visible tests) and for a function to complete (HumanEval: signature and docstring). Both end with
the beginning of the reply, so that the model goes on writing code.

Sources: "qwen2.5-coder" follows Qwen2.5-Coder's own EvalPlus evaluation (its system line, user
message, prefilled fence and stop strings; the task as EvalPlus writes MBPP, a docstring with the
text and an assert); "completion" follows EvalPlus for base models; "mbpp-few-shot" is the MBPP
paper's prompt for base models (Austin et al. 2021, arXiv 2108.07732), with worked examples before
the task (`generate.few_shot`; the paper takes them from problems 1 to 10).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ouroboros.records import Problem

# A reply ends where the code does: at the closing fence, or where a demonstration begins.
DEMONSTRATION = ("\nif __name__", "\ndef main(", "\nprint(", "\nassert ")
FENCE_END = ("\n```",)
EXPERT = "You are an expert Python programmer, and here is your task: "
FUNCTION_END = ("\ndef ", "\nclass ", "\n#", "\nif ")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptTemplate:
    """How one model family is asked.

    Args:
        form: `chat` goes through the tokenizer's chat template; `completion` is plain text.
        system: the system message; null leaves what the chat template puts by itself.
        task: the request for a task in words. `{text}` is the problem's text, `{tests}` its
            visible tests, one a line; see also `tests`.
        tests: how the visible tests are introduced, with `{tests}` in it; empty where none are
            shown. It stands at `{tests}` of `task`.
        example: a worked example, written before a task in words: `{text}` and `{tests}` as in
            `task`, `{program}` a program that passes. Then the reply is the program alone. Null for
            a template without examples.
        function: the request for a function to complete; `{prompt}` is its signature and docstring.
        task_reply, function_reply: the beginning of the reply; `{prompt}` as above.
        review: the request for a program's task in words (`review`), `{program}` in it; chat only.
        stop: strings that end a reply; they are not part of it.
        function_stop: further ones where a function is completed.
    """

    form: Literal["chat", "completion"]
    system: str | None = None
    task: str
    tests: str
    example: str | None = None
    function: str
    task_reply: str = ""
    function_reply: str = ""
    review: str = "What does this Python program do?\n```python\n{program}\n```"
    stop: tuple[str, ...]
    function_stop: tuple[str, ...] = ()


TEMPLATES: dict[str, PromptTemplate] = {
    "qwen2.5-coder": PromptTemplate(
        form="chat",
        system="You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
        task='Can you complete the following Python function?\n```python\n"""\n{text}\n{tests}'
        '"""\n```\n',
        tests="{tests}\n",
        function="Can you complete the following Python function?\n```python\n{prompt}\n```\n",
        task_reply="```python\n",
        function_reply="```python\n",
        stop=(*FENCE_END, *DEMONSTRATION),
    ),
    "smollm2-chat": PromptTemplate(
        form="chat",
        task="Write a Python function to solve this task.\n{text}{tests}",
        tests="\nYour code should pass this test:\n{tests}",
        function="Complete this Python function.\n```python\n{prompt}\n```",
        task_reply="```python\n",
        # A model this small follows the signature only when it stands in its own reply.
        function_reply="```python\n{prompt}",
        stop=(*FENCE_END, *DEMONSTRATION),
    ),
    "completion": PromptTemplate(
        form="completion",
        task='"""\n{text}\n{tests}"""\n',
        tests="{tests}\n",
        function="{prompt}",
        stop=('\n"""', *FENCE_END, *DEMONSTRATION),
        # The Codex paper's: the function is over where something else begins at the margin.
        function_stop=FUNCTION_END,
    ),
    "mbpp-few-shot": PromptTemplate(
        form="completion",
        task=EXPERT + "{text}{tests}\n[BEGIN]\n",
        tests=" Your code should pass these tests:\n\n{tests}",
        example=EXPERT + "{text}{tests}\n[BEGIN]\n{program}\n[DONE]\n\n",
        function="{prompt}",
        stop=("\n[DONE]", "[DONE]"),
        function_stop=(*FENCE_END, *DEMONSTRATION, *FUNCTION_END),
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What the model reads, and what its completion is a continuation of.

    Args:
        problem_id: whose prompt it is.
        text: the whole input, chat template applied; empty where whoever answers applies its own to
            `messages`.
        reply: the part of `text` that already belongs to the reply: the reply as a whole is
            `reply + completion`.
        stop: strings that end the completion.
        messages: the conversation before the reply, as `role` and `content`; empty for a text to
            continue.
    """

    problem_id: str
    text: str
    reply: str
    stop: tuple[str, ...]
    messages: tuple[dict[str, str], ...] = ()


def build_prompt(
    problem: Problem,
    template: PromptTemplate,
    tokenizer: Any,
    examples: Sequence[Problem] = (),
) -> Prompt:
    """The prompt of a problem. It shows exactly `problem.visible_tests`.

    Args:
        examples: solved problems, shown with their references before a task in words where the
            template has a place for them; the problem itself is never its own example.
        tokenizer: a transformers tokenizer; its chat template is applied for a chat template. Null
            where that is not done here: then there is no text and no beginning of a reply, and no
            fence ends the completion, since the reply will open one itself.
    """
    stop = template.stop
    if is_function(problem):
        shown = problem.prompt_text.strip("\n")
        request = template.function.replace("{prompt}", shown)
        reply = template.function_reply.replace("{prompt}", shown)
        stop += template.function_stop
    else:
        request = _task(problem, template)
        reply = template.task_reply
    if template.form == "completion":
        # Nothing wraps it: the model continues the file, so that program = prompt + completion.
        text = reply = problem.prompt_text if is_function(problem) else request
        if template.example is not None and not is_function(problem):
            text, reply = _worked(problem, template, examples) + request, ""
        return Prompt(problem_id=problem.problem_id, text=text, reply=reply, stop=stop)
    messages = [{"role": "user", "content": request}]
    if template.system is not None:
        messages.insert(0, {"role": "system", "content": template.system})
    if tokenizer is None:
        text = reply = ""
        stop = tuple(string for string in stop if string not in FENCE_END)
    else:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return Prompt(
        problem_id=problem.problem_id,
        text=text + reply,
        reply=reply,
        stop=stop,
        messages=tuple(messages),
    )


def is_function(problem: Problem) -> bool:
    """Whether the problem is a function to complete (HumanEval), not a task in words (MBPP)."""
    return problem.check is not None


def _worked(problem: Problem, template: PromptTemplate, examples: Sequence[Problem]) -> str:
    shown = [example for example in examples if example.problem_id != problem.problem_id]
    return "".join(_filled(str(template.example), example, template) for example in shown)


def _task(problem: Problem, template: PromptTemplate) -> str:
    return _filled(template.task, problem, template)


def _filled(text: str, problem: Problem, template: PromptTemplate) -> str:
    tests = ""
    if problem.visible_tests:
        tests = template.tests.replace("{tests}", "\n".join(problem.visible_tests))
    values = {
        "{text}": problem.prompt_text.strip(),
        "{tests}": tests,
        "{program}": problem.reference.strip("\n"),
    }
    # In one pass over the template: what a problem holds is never taken for a placeholder.
    return "".join(values.get(part, part) for part in re.split(r"(\{\w+\})", text))
