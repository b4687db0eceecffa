"""What the critic reads: one text for a prompt with a program.

The prompt is the problem's text and, under it, the visible tests: what the generator was shown.
After it come the program and a line of static facts.

An uncased word-piece tokenizer throws away line breaks, indentation and capitals, so a correctly
and a wrongly indented `return` would read the same. For such a backbone they are written as marker
tokens, added to its vocabulary. Plain words ("indent") were the alternative: a program may contain
them itself, and they cost two or three word pieces each; the markers start from those words'
embeddings instead, so little is lost. A code-aware tokenizer reads the program as it is.

Where the text is longer than `max_length` tokens the end of the prompt is cut, then the end of the
program; both are counted, and nothing is dropped silently.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ouroboros.critic.normalise import readable
from ouroboros.records import Problem
from ouroboros.static_analysis import facts

NEWLINE, INDENT, DEDENT, SPACE = "[NL]", "[IN]", "[DE]", "[SP]"
CAPITAL, CAPITALS = "[Cap]", "[CAP]"
MARKERS = {
    NEWLINE: "new line",
    INDENT: "begin inside",
    DEDENT: "end outside",
    SPACE: "space",
    CAPITAL: "capital letter",
    CAPITALS: "capital letters",
}
"""The marker tokens, and the words whose embeddings each starts from."""

TAB = 8  # columns to a tab stop, as Python's own tokenizer counts indentation


def needs_markers(tokenizer: Any) -> bool:
    """Whether the tokenizer loses capitals or layout."""

    def pieces(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    return pieces("Value") == pieces("value") or pieces("a\n    b") == pieces("a b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """One input of the critic.

    Attributes:
        ids: token ids with the tokenizer's own special tokens, at most `max_length` of them.
        prompt_cut: whether the prompt was shortened.
        code_cut: whether the program was shortened too.
        program: the place of the program's first token, and the one after its last.
    """

    ids: tuple[int, ...]
    prompt_cut: bool
    code_cut: bool
    program: tuple[int, int] = (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Serialiser:
    """Writes prompts with programs for one tokenizer.

    Args:
        tokenizer: a fast transformers tokenizer; the markers are in its vocabulary if `markers`.
        max_length: most tokens of a text.
        markers: write layout and capitals as marker tokens.
        static_facts: write the line of static facts.
        code: "normalised" or "source", as `CriticParams.code`.
    """

    tokenizer: Any
    max_length: int
    markers: bool
    static_facts: bool
    code: str

    def encode(self, items: Sequence[tuple[Problem, str]]) -> list[Encoded]:
        """Token ids of each (problem, code), cut to `max_length`."""
        parts = [self._parts(problem, code) for problem, code in items]
        if not parts:
            return []
        batch = self.tokenizer(
            [self._join(*part) for part in parts], return_offsets_mapping=True, verbose=False
        )
        return [
            Encoded(
                ids=tuple(ids),
                prompt_cut=False,
                code_cut=False,
                program=self._place(part[0], part[1], offsets),
            )
            if len(ids) <= self.max_length
            else self._cut(*part, ids)
            for part, ids, offsets in zip(
                parts, batch["input_ids"], batch["offset_mapping"], strict=True
            )
        ]

    def text(self, problem: Problem, code: str) -> str:
        """The whole text, before any cut."""
        return self._join(*self._parts(problem, code))

    def _parts(self, problem: Problem, code: str) -> tuple[str, str, str]:
        prompt = "\n".join(
            [problem.prompt_text.strip(), *(t for t in problem.visible_tests if t.strip())]
            if not all(test in problem.prompt_text for test in problem.visible_tests)
            else [problem.prompt_text.strip()]
        )
        program = readable(code) if self.code == "normalised" else code.strip("\n")
        found = facts(code, problem.entry_point, problem.visible_tests)
        line = found.describe() if self.static_facts else ""
        return self._clean(prompt), self._clean(program), self._clean(line)

    def _clean(self, text: str) -> str:
        # Lone surrogates cannot be encoded; the text of a special token must not become one.
        text = text.encode("utf-8", "replace").decode("utf-8")
        for special in (*self.tokenizer.all_special_tokens, *(MARKERS if self.markers else ())):
            if special and special in text:
                text = text.replace(special, f"{special[0]} {special[1:]}")
        return mark(text) if self.markers else text

    def _join(self, prompt: str, program: str, line: str) -> str:
        separator = self.tokenizer.sep_token
        if separator:
            end = f" {separator} {line}" if line else ""
        else:
            # A decoder's reward is read at the last token, which is the same for every program.
            checks = f"\nStatic checks: {line}." if line else ""
            end = f"\n```{checks}\nPasses:"
        return f"{self._before(prompt)}{program}{end}"

    def _before(self, prompt: str) -> str:
        separator = self.tokenizer.sep_token
        return f"{prompt} {separator} " if separator else f"{prompt}\n```python\n"

    def _place(
        self, prompt: str, program: str, offsets: Sequence[tuple[int, int]]
    ) -> tuple[int, int]:
        """Where the program's tokens are, from the characters that each token covers."""
        start = len(self._before(prompt))
        stop = start + len(program)
        # A token of its own may cover nothing ([CLS]); one that begins before the program, or ends
        # behind it, belongs to what is around it.
        places = [n for n, (a, b) in enumerate(offsets) if start <= a < b <= stop]
        return (places[0], places[-1] + 1) if places else (0, 0)

    def _ids(self, prompt: str, program: str, line: str) -> list[int]:
        ids: list[int] = self.tokenizer(self._join(prompt, program, line), verbose=False)[
            "input_ids"
        ]
        return ids

    def _cut(self, prompt: str, program: str, line: str, ids: Sequence[int]) -> Encoded:
        """The text without the end of its prompt, then of its program; `ids` are all of it."""
        while len(ids) > self.max_length and prompt:
            prompt = self._shorten(prompt, len(ids) - self.max_length)
            ids = self._ids(prompt, program, line)
        code_cut = len(ids) > self.max_length
        while len(ids) > self.max_length and program:
            program = self._shorten(program, len(ids) - self.max_length)
            ids = self._ids(prompt, program, line)
        offsets = self.tokenizer(
            self._join(prompt, program, line), return_offsets_mapping=True, verbose=False
        )["offset_mapping"]
        # Only a line of facts longer than max_length itself can still be too long.
        return Encoded(
            ids=tuple(ids[: self.max_length]),
            prompt_cut=True,
            code_cut=code_cut,
            program=self._place(prompt, program, offsets[: self.max_length]),
        )

    def _shorten(self, text: str, tokens: int) -> str:
        """`text` without about its last `tokens` tokens, and always without at least one."""
        offsets = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )["offset_mapping"]
        keep = len(offsets) - tokens
        return text[: offsets[keep][0]].rstrip() if keep > 0 else ""


def mark(text: str) -> str:
    """Write line breaks, indentation, blanks that matter and capitals as marker tokens.

    Each line but the first begins with NEWLINE; a line indented deeper than the one before with
    INDENT, a shallower one with a DEDENT for each level left. Blanks at the ends of a string
    literal become SPACE. A capital letter is announced by CAPITAL, a run of two or more by
    CAPITALS.
    """
    levels = [0]
    out: list[str] = []
    for line in text.splitlines():
        body = line.strip()
        if not body:
            continue
        width = len(line.expandtabs(TAB)) - len(line.expandtabs(TAB).lstrip())
        if out:
            out.append(NEWLINE)
        if width > levels[-1]:
            levels.append(width)
            out.append(INDENT)
        while width < levels[-1]:
            levels.pop()
            out.append(DEDENT)
        out.append(_mark_capitals(LITERAL.sub(_mark_spaces, body)))
    return " ".join(out)


# The two branches never match the same character: a row of backslashes would otherwise be tried in
# exponentially many ways.
LITERAL = re.compile(r"""(['"])((?:\\.|(?!\1)[^\\])*)\1""")


def _mark_spaces(literal: re.Match[str]) -> str:
    """`' '` and `''`, `', '` and `','` differ by blanks at a literal's ends."""
    quote, body = literal[1], literal[2]
    inner = body.strip(" ")
    if inner == body:
        return literal[0]
    ends = (
        [SPACE] if not inner else [SPACE * body.startswith(" "), inner, SPACE * body.endswith(" ")]
    )
    return f"{quote} {' '.join(part for part in ends if part)} {quote}"


def _mark_capitals(text: str) -> str:
    def marked(run: re.Match[str]) -> str:
        if run[0] == SPACE:
            return run[0]
        return f" {CAPITALS if len(run[0]) > 1 else CAPITAL} {run[0]}"

    return re.sub(rf"{re.escape(SPACE)}|[A-Z]+", marked, text)
