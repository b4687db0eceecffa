"""Loading params, strictly.

Science knobs live in `params.yaml`, scale knobs in `params/<profile>.yaml`; `profile` in
`params.yaml` picks the file. A block (say `generate`) may have keys in both files, but each key in
one only, and becomes one frozen dataclass that stands beside the code it configures.
"""

from __future__ import annotations

import dataclasses
import hashlib
import typing
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML, YAMLError

from ouroboros.errors import InputError, UserError
from ouroboros.records import parse_value

BLOCKS = (
    "problems", "generate", "execute", "split", "made_negatives", "critic", "curriculum",
    "evaluate",
)  # fmt: skip
Params = TypeVar("Params")


def load_params(block: str, kind: type[Params], *, root: Path | None = None) -> Params:
    """Load one params block into `kind`.

    Args:
        block: a top-level key, or a dotted path such as "problems.main".
        kind: a dataclass; or a tuple type such as `tuple[Phase, ...]` for a block that is a list.
        root: the folder with `params.yaml`; the working directory by default.

    Raises:
        UserError: a params file is missing or is not YAML.
        InputError: an unknown, missing, mistyped or twice-given key; the message names file, key.
    """
    folder = root or Path()
    found = []
    for path in _files(folder):
        value: Any = _read(path)
        _check_blocks(value, path, main=path.name == "params.yaml" and path.parent == folder)
        for part in block.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found.append((str(path), value))
    if not found:
        raise InputError(
            f"missing params block {block!r}", where=" and ".join(map(str, _files(folder)))
        )
    if not dataclasses.is_dataclass(kind):
        if len(found) > 1:
            raise InputError(f"{block} is given in both files", where=found[1][0])
        where, value = found[0]
        return typing.cast(Params, parse_value(kind, value, f"{where}: {block}", "param"))
    return typing.cast(Params, _build(kind, block, found))


def _build(kind: Any, block: str, found: list[tuple[str, Any]]) -> Any:
    hints = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for where, mapping in found:
        if not isinstance(mapping, dict):
            raise InputError("expected a mapping", where=f"{where}: {block}")
        for key, value in mapping.items():
            if key not in hints:
                raise InputError(
                    f"unknown param {f'{block}.{key}'!r}",
                    where=where,
                    hint=f"known in {block}: {', '.join(hints)}",
                )
            if key in owner:
                raise InputError(
                    f"param {block}.{key} is given twice", where=where, hint=f"also in {owner[key]}"
                )
            owner[key] = where
            values[key] = parse_value(hints[key], value, f"{where}: {block}.{key}", "param")
    for field in dataclasses.fields(kind):
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if required and field.name not in values:
            raise InputError(
                f"missing param {block}.{field.name}", where=" and ".join(w for w, _ in found)
            )
    try:
        return kind(**values)
    except InputError as error:
        # A dataclass checks its own ranges; say which files the values came from.
        raise InputError(
            str(error), where=f"{' and '.join(w for w, _ in found)}: {block}"
        ) from None


def _files(folder: Path) -> tuple[Path, Path]:
    main = folder / "params.yaml"
    profile = _read(main).get("profile")
    if not isinstance(profile, str):
        raise InputError("profile must name a file in params/, e.g. cpu", where=str(main))
    chosen = folder / "params" / f"{profile}.yaml"
    if not chosen.is_file():
        known = sorted(path.stem for path in (folder / "params").glob("*.yaml"))
        raise InputError(
            f"unknown profile {profile!r}", where=str(main), hint=f"known: {', '.join(known)}"
        )
    return main, chosen


def _read(path: Path) -> dict[str, Any]:
    # As DVC reads it (YAML 1.2): PyYAML would take the 1e-05 that `dvc exp run -S` writes for a
    # string, "off" for false, and the later of two equal keys.
    try:
        value = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run this at the project's root") from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(value, dict):
        raise InputError("expected a mapping of params blocks", where=str(path))
    return value


def _check_blocks(value: dict[str, Any], path: Path, *, main: bool) -> None:
    allowed = (*BLOCKS, "profile", "sets") if main else BLOCKS
    for key in value:
        if key not in allowed:
            raise InputError(
                f"unknown params block {key!r}",
                where=str(path),
                hint=f"known: {', '.join(allowed)}",
            )


def require(condition: bool, message: str) -> None:
    """Raise `InputError(message)` unless `condition`: for range checks in params dataclasses."""
    if not condition:
        raise InputError(message)


def check_digest(path: Path, expected: str | None, source: str) -> None:
    """Raise unless the file's SHA-256 is `expected`, which `source` (for the message) names.

    Raises:
        UserError: no such file, or it cannot be read.
        InputError: another digest, or none is expected; the message holds the file's.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        with open(path, "rb") as stream:
            actual = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    if expected is None:
        raise InputError(
            "a local file must be pinned by its digest", where=str(path), hint=f"sha256: {actual}"
        )
    if actual != expected.lower():
        raise InputError(
            f"the file's SHA-256 is {actual}, but {source} is {expected}", where=str(path)
        )
