"""How alike two problems are, by their text and their reference programs.

Two problems are near-duplicates when either their prompts or their references nearly agree:

- prompt: the description's words, without the phrases every prompt has ("write a function to",
  "using lambda function"), as single words and pairs of neighbours. Pairs keep "radians to degrees"
  apart from "degrees to radians".
- reference: its tokens with the author's own names made one, in runs of four. References shorter
  than `_SHORTEST_CODE` tokens are not compared: too many problems have the same one-liner.

Each is a Jaccard similarity, |A and B| / |A or B|; the larger one counts. On MBPP's seed split a
threshold of 0.8 marks 35 of the 474 test problems. Half of them (18) compute the very same function
as a train problem (each reference passes the other's tests), the rest are variants such as first
against last; some same functions told in other words and programs (19 of 37) go unmarked.

Pairs are found with prefix filtering (Chaudhuri et al. 2006; Bayardo et al. 2007), which compares
only problems that share a rare feature, so ten thousand problems take half a minute.
"""

from __future__ import annotations

import ast
import builtins
import io
import itertools
import keyword
import math
import re
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ouroboros.records import Problem

Features = frozenset[tuple[str, ...]]

_FILLER = frozenset(
    (
        "a", "an", "and", "are", "as", "be", "by", "for", "from", "function", "given", "in", "is",
        "it", "its", "lambda", "of", "on", "or", "python", "that", "the", "to", "using", "whether",
        "which", "with", "write",
    )
)  # fmt: skip
_SHORTEST_CODE = 20
_RUN = 4
_KEPT_NAMES = frozenset(keyword.kwlist) | frozenset(dir(builtins))
_LAYOUT = frozenset(
    (
        tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
        tokenize.ENDMARKER,
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two near-duplicate problems and how similar they are, in [threshold, 1]."""

    first: str
    second: str
    similarity: float


def near_duplicates(
    first: Sequence[Problem], second: Sequence[Problem], threshold: float
) -> list[Pair]:
    """Every pair of a problem of `first` and another one of `second` at least `threshold` alike.

    Sorted by the order of `first`, then `second`. Give the same list twice for the pairs within it;
    each pair is then found both ways round.
    """
    best: dict[tuple[str, str], float] = {}
    for features in (prompt_features, code_features):
        left = {problem.problem_id: features(problem) for problem in first}
        right = {problem.problem_id: features(problem) for problem in second}
        for pair, similarity in _similar(left, right, threshold).items():
            best[pair] = max(similarity, best.get(pair, 0.0))
    order = {problem.problem_id: index for index, problem in enumerate([*first, *second])}
    return [
        Pair(first=a, second=b, similarity=best[a, b])
        for a, b in sorted(best, key=lambda pair: (order[pair[0]], order[pair[1]]))
    ]


def groups(problems: Sequence[Problem], threshold: float) -> list[list[str]]:
    """The problem ids in order, each with its near-duplicates and theirs in one group."""
    parent = {problem.problem_id: problem.problem_id for problem in problems}

    def root(item: str) -> str:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for pair in near_duplicates(problems, problems, threshold):
        parent[root(pair.second)] = root(pair.first)
    members: dict[str, list[str]] = defaultdict(list)
    for problem in problems:
        members[root(problem.problem_id)].append(problem.problem_id)
    return list(members.values())


def prompt_features(problem: Problem) -> Features:
    """Words and pairs of neighbouring words of the description."""
    words = [
        word
        for word in re.findall(r"[a-z]+|\d+", _description(problem).lower())
        if word not in _FILLER
    ]
    return frozenset([(word,) for word in words]) | frozenset(itertools.pairwise(words))


def code_features(problem: Problem) -> Features:
    """Runs of four tokens of the reference, own names made one; empty for a short reference.

    Imports, annotations and docstrings are left out, and layout and redundant parentheses do not
    count.
    """
    tokens = _code_tokens(problem)
    if len(tokens) < _SHORTEST_CODE:
        return frozenset()
    return frozenset(tuple(tokens[i : i + _RUN]) for i in range(len(tokens) - _RUN + 1))


def _description(problem: Problem) -> str:
    """The prompt's prose: for a HumanEval prompt its docstring up to the first example."""
    if problem.check is None:
        return problem.prompt_text
    lines = []
    for line in _docstring(problem).splitlines():
        text = line.strip()
        if text.startswith((">>>", f"{problem.entry_point}(")) or re.match(
            r"(?i)(for )?exam", text
        ):
            break
        lines.append(text)
    return "\n".join(lines)


def _docstring(problem: Problem) -> str:
    try:
        body = ast.parse(problem.prompt_text).body
    except (SyntaxError, ValueError):
        return problem.prompt_text
    for statement in body:
        if isinstance(statement, ast.FunctionDef) and statement.name == problem.entry_point:
            return ast.get_docstring(statement) or problem.prompt_text
    return problem.prompt_text


def _code_tokens(problem: Problem) -> list[str]:
    """Tokens of the reference in one layout, without imports, annotations and docstrings."""
    try:
        source = ast.unparse(_Bare().visit(ast.parse(problem.reference)))
    except (SyntaxError, ValueError, RecursionError):
        return []
    found: list[str] = []
    previous = ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in _LAYOUT:
            continue
        own = token.type == tokenize.NAME and previous != "." and token.string not in _KEPT_NAMES
        found.append("name" if own else token.string)
        previous = token.string
    return found


class _Bare(ast.NodeTransformer):
    """Takes away what says how a program is written rather than what it does."""

    def visit_Import(self, node: ast.Import) -> None:
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def _similar(
    left: Mapping[str, Features], right: Mapping[str, Features], threshold: float
) -> dict[tuple[str, str], float]:
    """Jaccard similarity of each pair that reaches the threshold.

    A set of n features can only reach it with a set that shares one of its rarest
    n - ceil(threshold n) + 1 features, rarest by an order that both sides use.
    """
    frequency = Counter(
        feature for side in (left, right) for item in side.values() for feature in item
    )
    index: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, features in right.items():
        for feature in _prefix(features, frequency, threshold):
            index[feature].append(name)
    found = {}
    for name, features in left.items():
        others = {
            other for feature in _prefix(features, frequency, threshold) for other in index[feature]
        }
        for other in others - {name}:
            shared = len(features & right[other])
            similarity = shared / (len(features) + len(right[other]) - shared)
            if similarity >= threshold:
                found[name, other] = similarity
    return found


def _prefix(
    features: Features, frequency: Mapping[tuple[str, ...], int], threshold: float
) -> Iterable[tuple[str, ...]]:
    # The small margin keeps rounding (0.8 * 5 = 4.000000000000001) from losing a pair.
    length = len(features) - math.ceil(threshold * len(features) - 1e-9) + 1
    return (
        sorted(features, key=lambda feature: (frequency[feature], feature))[:length]
        if features
        else ()
    )
