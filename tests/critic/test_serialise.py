"""What the critic reads, per kind of tokenizer, and how it is cut to fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from ouroboros.critic.serialise import MARKERS, Serialiser, mark, needs_markers
from ouroboros.records import Problem
from tests.critic.tiny_critics import make_tiny_bert, make_tiny_decoder, problem

RIGHT = "def add(x):\n    for i in x:\n        pass\n    return x\n"
WRONG = "def add(x):\n    for i in x:\n        pass\n        return x\n"


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("tokenizers")
    made = {
        "uncased": make_tiny_bert(folder / "uncased"),
        "qwen2": make_tiny_decoder(folder / "qwen2", "qwen2"),
    }
    return {name: AutoTokenizer.from_pretrained(path) for name, path in made.items()}


def serialiser(tokenizer: Any, **changes: Any) -> Serialiser:
    markers = needs_markers(tokenizer)
    if markers:
        tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
    options = {"max_length": 512, "markers": markers, "static_facts": True, "code": "normalised"}
    return Serialiser(tokenizer=tokenizer, **{**options, **changes})


def test_a_tokenizer_that_loses_layout_or_capitals_needs_markers(
    tokenizers: dict[str, Any], tmp_path: Path
) -> None:
    assert needs_markers(tokenizers["uncased"])
    assert needs_markers(AutoTokenizer.from_pretrained(make_tiny_bert(tmp_path / "c", cased=True)))
    assert not needs_markers(tokenizers["qwen2"])


@pytest.mark.parametrize("name", ["uncased", "qwen2"])
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RIGHT, WRONG),
        ("def add(x): return x == True", "def add(x): return x == true"),
        ("def add(x): return ' '.join(x)", "def add(x): return ''.join(x)"),
        ("def add(x): return ', '.join(x)", "def add(x): return ','.join(x)"),
        ("def add(x): return 'Even'", "def add(x): return 'even'"),
        ("def add(x): return 'AB'", "def add(x): return 'Ab'"),
        ("def add(x):\nreturn (", "def add(x):\n    return ("),
    ],
)
def test_programs_that_differ_read_differently(
    tokenizers: dict[str, Any], name: str, one: str, other: str
) -> None:
    # Without the facts line, which alone may tell some of these apart.
    form = serialiser(tokenizers[name], static_facts=False)
    first, second = form.encode([(problem(1), one), (problem(1), other)])
    assert first.ids != second.ids


def test_marks_show_layout_blanks_and_capitals() -> None:
    text = "def f(s):\n    if s == ' ':\n        return None\n\n    return 'Ab'"
    assert " ".join(mark(text).split()) == (
        "def f(s): [NL] [IN] if s == ' [SP] ': [NL] [IN] return [Cap] None [NL] [DE] return "
        "' [Cap] Ab'"
    )


def test_a_row_of_backslashes_takes_no_time() -> None:
    """A generated program with an unclosed literal once kept the marker pattern busy for ever."""
    line = "x = '" + "\\" * 2001
    assert mark(line) == line


def test_the_prompt_shows_the_visible_tests_once(tokenizers: dict[str, Any]) -> None:
    form = serialiser(tokenizers["qwen2"])
    text = form.text(problem(7), "def add(x): return x + 7")
    assert text.count("assert add(1) == 8") == 1
    assert "assert add(0)" not in text, "a hidden test"
    told = Problem(
        problem_id="tiny/0",
        prompt_text="Add.\nassert add(1) == 8",
        entry_point="add",
        tests=("assert add(1) == 8",),
        visible_tests=("assert add(1) == 8",),
    )
    assert form.text(told, "").count("assert add(1) == 8") == 1


def test_static_facts_are_written_and_can_be_left_out(tokenizers: dict[str, Any]) -> None:
    code = "def add(x): return x + n"
    assert "undefined n" in serialiser(tokenizers["qwen2"]).text(problem(1), code)
    assert "undefined" not in serialiser(tokenizers["qwen2"], static_facts=False).text(
        problem(1), code
    )


@pytest.mark.parametrize("name", ["uncased", "qwen2"])
def test_the_prompt_is_cut_before_the_program(tokenizers: dict[str, Any], name: str) -> None:
    code = "def add(x):\n    return x + 1\n"
    whole = serialiser(tokenizers[name]).encode([(problem(1), code)])[0]
    assert not whole.prompt_cut
    empty = Problem(problem_id="t/1", prompt_text="", entry_point="add", tests=("assert add(1)",))
    bare = serialiser(tokenizers[name]).encode([(empty, code)])[0]
    room = len(bare.ids) + 6
    cut = serialiser(tokenizers[name], max_length=room).encode([(problem(1), code)])[0]
    assert cut.prompt_cut
    assert not cut.code_cut
    assert len(cut.ids) <= room
    tokenizer = tokenizers[name]
    program = tokenizer.decode(bare.ids).split("add", 1)[1]
    assert program in tokenizer.decode(cut.ids), "the program stands whole"
    tiny = serialiser(tokenizers[name], max_length=16).encode([(problem(1), code)])[0]
    assert tiny.code_cut
    assert len(tiny.ids) <= 16


@pytest.mark.parametrize("name", ["uncased", "qwen2"])
def test_special_tokens_cannot_be_written_by_a_program(
    tokenizers: dict[str, Any], name: str
) -> None:
    form = serialiser(tokenizers[name])
    tokenizer = tokenizers[name]
    for token in tokenizer.all_special_tokens:
        broken = f"{token[0]} {token[1:]}"
        forged, harmless = form.encode(
            [(problem(1), f"def add(x): return 'a{text}'") for text in (token, broken)]
        )
        assert forged.ids == harmless.ids, token


def test_odd_text_is_encoded(tokenizers: dict[str, Any]) -> None:
    for name in ("uncased", "qwen2"):
        for code in ("", "\ud800", "\0\x07", "é 漢字 🙂", "\t\n \n"):
            assert serialiser(tokenizers[name]).encode([(problem(1), code)])[0].ids
