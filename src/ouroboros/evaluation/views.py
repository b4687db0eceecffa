"""What a selector may see.

A view holds one problem's samples, column by column (n samples, in sample order). There are four,
each knowing more than the last. None has a field for the result of a hidden test, so a rule that
would use one cannot be written; and a rule receives exactly the view it is declared for, so it
cannot use more than it says.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class LeftOut(Exception):
    """A rule cannot be measured on this split; its text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blind:
    """Nothing but the number of samples."""

    sees: ClassVar[str] = "nothing"
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeView(Blind):
    """The prompt and the programs, before anything runs.

    Attributes:
        codes: the programs.
        num_tokens: generated tokens of each.
        sum_logprob: summed natural-log probability of those tokens under the generator; NaN where
            the source gave none (read it through `sum_logprobs`, `mean_logprobs`).
        review_logprob: log p(task | program) under the generator, summed over the task's tokens;
            NaN where it was not asked (read it through `review_logprobs`).
        reward: the critic's raw score.
        p_pass: the critic's calibrated probability of passing.
        static_score: how many of the static rules hold (`static_analysis`).
        parses: it is valid Python.
        same_program: a group number; equal numbers are equal programs (`normal_form`).
    """

    sees: ClassVar[str] = "code"
    codes: tuple[str, ...]
    num_tokens: IntArray
    sum_logprob: FloatArray
    review_logprob: FloatArray
    reward: FloatArray
    p_pass: FloatArray
    static_score: FloatArray
    parses: BoolArray
    same_program: IntArray

    def sum_logprobs(self) -> FloatArray:
        """(n,) summed log-probabilities.

        Raises:
            LeftOut: some candidate has none.
        """
        if np.isnan(self.sum_logprob).any():
            raise LeftOut("some candidates have no log-probabilities")
        return self.sum_logprob

    def mean_logprobs(self) -> FloatArray:
        """(n,) log-probability per generated token; raises as `sum_logprobs`."""
        # An empty completion has a sum of 0 over no tokens.
        return self.sum_logprobs() / np.maximum(self.num_tokens, 1)

    def review_logprobs(self) -> FloatArray:
        """(n,) log p(task | program).

        Raises:
            LeftOut: some candidate has none.
        """
        if np.isnan(self.review_logprob).any():
            raise LeftOut("the generator was not asked for it (generate.reviewer)")
        return self.review_logprob


@dataclass(frozen=True, kw_only=True, slots=True)
class VisibleInputsView(CodeView):
    """Also what happens when the visible tests' calls are run, but not what they should return.

    Attributes:
        runs: no call of a visible test raised, crashed or was stopped; all true where the problem
            has no visible test.
        output: a group number of the values returned to the visible tests' calls, -1 where one is
            missing; None where the source recorded none (read it through `outputs`).
    """

    sees: ClassVar[str] = "visible inputs"
    runs: BoolArray
    output: IntArray | None

    def outputs(self) -> IntArray:
        """(n,) output groups.

        Raises:
            LeftOut: the split holds no outputs for this problem's visible tests.
        """
        if self.output is None:
            raise LeftOut("the verdicts hold no outputs of the visible tests")
        return self.output


@dataclass(frozen=True, kw_only=True, slots=True)
class VisibleTestsView(VisibleInputsView):
    """Also the visible tests' results.

    Attributes:
        passes_visible: every visible test passes; all true where the problem has none.
    """

    sees: ClassVar[str] = "visible tests"
    passes_visible: BoolArray


View = TypeVar("View", bound=Blind)
VIEWS: tuple[type[Blind], ...] = (Blind, CodeView, VisibleInputsView, VisibleTestsView)


def narrow(view: Blind, kind: type[View]) -> View:
    """`view` with the fields of `kind` alone."""
    return kind(**{field.name: getattr(view, field.name) for field in dataclasses.fields(kind)})
