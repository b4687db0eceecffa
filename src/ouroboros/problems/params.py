"""Params of a problem set: where it comes from and which of its problems are used."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from ouroboros.params import require

HUB_NAMES = ("mbpp", "humaneval")
PACKAGED_NAMES = ("starter", "humaneval")
STRICTER_NAMES = ("mbppplus", "humanevalplus")


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetParams:
    """A part of a set on which results are reported too: the problems that another source holds.

    Attributes:
        source: `path`, a file of problems pinned by its digest, or `hub`, the hub's hand-verified
            (sanitized) MBPP at the set's own revision.
        path, sha256: the file and its digest; with source path.
    """

    source: Literal["hub", "path"]
    path: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        require(
            (self.path is not None) == (self.source == "path"),
            "a subset has a path exactly where its source is path",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class StricterParams:
    """Where a set's stricter tests come from: the block `problems.<set>.stricter`.

    Attributes:
        source: `hub` (MBPP+ or HumanEval+ on the Hugging Face hub at a pinned revision) or `path`
            (a local file pinned by its digest: EvalPlus' release file, or the hub's rows as JSONL).
        name: mbppplus or humanevalplus; with source hub.
        revision: the hub commit, 40 hexadecimal digits; with source hub.
        path, sha256: the file, relative to the project's root, and its digest; with source path.
        max_inputs: at most so many inputs per problem, from the first. All by default: about 110
            for MBPP+, up to 1,100 for HumanEval+.
    """

    source: Literal["hub", "path"]
    name: str | None = None
    revision: str | None = None
    path: str | None = None
    sha256: str | None = None
    max_inputs: int | None = None

    def __post_init__(self) -> None:
        if self.source == "path":
            require(self.path is not None, "stricter: source path needs path, the file to read")
        else:
            for key in ("path", "sha256"):
                require(
                    getattr(self, key) is None,
                    f"stricter: {key} goes with source path, not with source hub; set it to null",
                )
            require(
                self.name in STRICTER_NAMES,
                f"stricter: source hub has no set {self.name!r}; name must be "
                + " or ".join(STRICTER_NAMES),
            )
            require(
                re.fullmatch("[0-9a-f]{40}", self.revision or "") is not None,
                "stricter: source hub needs revision, a commit of 40 hexadecimal digits, "
                f"found {self.revision!r}",
            )
        require(
            self.max_inputs is None or self.max_inputs >= 1,
            f"stricter: max_inputs must be 1 or more: {self.max_inputs}",
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProblemsParams:
    """One set: the block `problems.<set>`.

    Attributes:
        source: `hub` (a dataset on the Hugging Face hub at a pinned revision), `path` (a local file
            pinned by its digest) or `packaged` (a set that comes with an installed package).
        name: which set: mbpp or humaneval from the hub, starter or humaneval packaged. Not read
            with `path`, so that one override can point a set at a file.
        revision: the hub commit, 40 hexadecimal digits. Not read with `path` and `packaged`.
        subset: `full`, or `sanitized` for the hub's hand-verified MBPP.
        path: the file, relative to the project's root: JSONL (gzipped if it ends in .gz) or a JSON
            list, in the published MBPP or HumanEval form or in our own (see `formats`).
        sha256: the digest of the file at `path`.
        subsets: parts of the set to report on too, by name; see `SubsetParams`.
        stricter: where stricter tests come from, which become `extra_tests`; none by default. See
            `StricterParams`.
        visible_tests: how many of a problem's tests its prompt may show, from the first. A
            HumanEval prompt shows its own examples, whatever this says.
        ids: which problems, by number: "1-60,501-540", or a list such as [1-60, 501-540]. All by
            default.
        limit: keep only the first so many of them, in the order of their numbers.
    """

    source: Literal["hub", "path", "packaged"]
    name: str | None = None
    revision: str | None = None
    subset: Literal["full", "sanitized"] = "full"
    path: str | None = None
    sha256: str | None = None
    subsets: dict[str, SubsetParams] = field(default_factory=dict)
    stricter: StricterParams | None = None
    visible_tests: int = 1
    ids: str | int | tuple[str | int, ...] | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.source == "path":
            require(self.path is not None, "source path needs path, the file to read")
        else:
            for key in ("path", "sha256"):
                require(
                    getattr(self, key) is None,
                    f"{key} goes with source path, not with source {self.source}; set it to null",
                )
            names = HUB_NAMES if self.source == "hub" else PACKAGED_NAMES
            require(
                self.name in names,
                f"source {self.source} has no set {self.name!r}; name must be "
                + " or ".join(names),
            )
        if self.source == "hub":
            require(
                re.fullmatch("[0-9a-f]{40}", self.revision or "") is not None,
                "source hub needs revision, a commit of 40 hexadecimal digits, "
                f"found {self.revision!r}",
            )
        require(
            self.subset == "full" or (self.source == "hub" and self.name == "mbpp"),
            "subset sanitized goes with source hub and name mbpp",
        )
        for name, part in self.subsets.items():
            require(
                part.source != "hub" or (self.source == "hub" and self.name == "mbpp"),
                f"subsets.{name}: source hub is MBPP's sanitized part and goes with source hub and "
                "name mbpp; give the file by source path",
            )
        require(self.visible_tests >= 0, f"visible_tests must be 0 or more: {self.visible_tests}")
        require(self.limit is None or self.limit >= 1, f"limit must be 1 or more: {self.limit}")
        parse_ranges(self.ids)


def parse_ranges(ids: str | int | tuple[str | int, ...] | None) -> tuple[tuple[int, int], ...]:
    """The (first, last) number ranges that `ids` names, both ends included; empty for None.

    Raises:
        InputError: not of the form "1-60,501-540".
    """
    if ids is None:
        return ()
    parts = ids if isinstance(ids, tuple) else str(ids).split(",")
    ranges = []
    for part in parts:
        match = re.fullmatch(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?", str(part))
        require(match is not None, f"ids must look like 1-60,501-540, found {part!r}")
        assert match is not None
        first, last = int(match[1]), int(match[2] or match[1])
        require(first <= last, f"ids: the range {str(part).strip()!r} runs backwards")
        ranges.append((first, last))
    return tuple(ranges)
