"""What a run was made from: params, seeds, digests, code version.

`dvc.lock` records what each stage ran with and wrote. Where it is there, the report shows that, and
says what has changed since; the params files alone cannot say what a run used.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from ouroboros.errors import UserError

LOCK = "dvc.lock"
SHOWN = ("data/", "models/", "metrics/")
"""The outputs whose digests are listed: the plots are drawn, not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """An output as dvc.lock records it.

    Attributes:
        path: relative to the project.
        digest: MD5, DVC's; of a folder, of its listing.
        size: bytes.
    """

    path: str
    digest: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What is known of a run's origin.

    Attributes:
        params: by file, each param's dotted name and its value.
        recorded: the params are those of dvc.lock, not of the files as they stand.
        changed_params: recorded blocks that differ from the files as they stand.
        outputs: in the pipeline's order; empty without dvc.lock.
        changed_files: files of the report that are not as dvc.lock records them.
        commit: the commit that is checked out; None outside a git repository.
    """

    params: dict[str, dict[str, str]]
    recorded: bool
    changed_params: tuple[str, ...]
    outputs: tuple[Output, ...]
    changed_files: tuple[str, ...]
    commit: str | None

    def get(self, name: str) -> str | None:
        """A param's value, in whatever file it stands; None where it is not set."""
        found = (values[name] for values in self.params.values() if name in values)
        return next((value for value in found if value != "null"), None)


def read_provenance(root: Path) -> Provenance:
    """Read dvc.lock, the params files and the checked-out commit under `root`.

    Raises:
        UserError: a file is there and cannot be read.
    """
    files = _params_files(root)
    lock = _yaml(root / LOCK) if (root / LOCK).is_file() else {}
    recorded: dict[str, dict[str, Any]] = {}
    outputs: list[Output] = []
    try:
        for stage in (lock.get("stages") or {}).values():
            for file, blocks in (stage.get("params") or {}).items():
                recorded.setdefault(file, {}).update(blocks)
            outputs += [
                Output(path=str(out["path"]), digest=str(out["md5"]), size=int(out["size"]))
                for out in stage.get("outs") or ()
                if str(out["path"]).startswith(SHOWN)
            ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{root / LOCK}: is not as DVC writes it: {error!r}") from error
    shown = recorded or files
    return Provenance(
        params={file: dict(_flat("", blocks)) for file, blocks in sorted(shown.items())},
        recorded=bool(recorded),
        changed_params=tuple(
            sorted(
                f"{block} in {file}"
                for file, blocks in recorded.items()
                for block, value in blocks.items()
                if _at(files.get(file, {}), block) != value
            )
        ),
        outputs=tuple(outputs),
        changed_files=tuple(_changed(root, outputs)),
        commit=_commit(root),
    )


def _params_files(root: Path) -> dict[str, Any]:
    """params.yaml and the profile it names, as they stand; by their names in dvc.lock."""
    main = _yaml(root / "params.yaml")
    profile = f"params/{main.get('profile')}.yaml"
    found = {"params.yaml": main}
    if (root / profile).is_file():
        found[profile] = _yaml(root / profile)
    return found


def _yaml(path: Path) -> dict[str, Any]:
    try:
        value = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run this at the project's root, or name it with --root"
        ) from None
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UserError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}: expected a mapping")
    return value


def _at(value: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Dotted names and values as JSON would write them."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
        for number, inner in enumerate(value):
            yield from _flat(f"{name}[{number}]", inner)
    else:
        words = {None: "null", True: "true", False: "false"}
        yield name, words[value] if value is None or isinstance(value, bool) else str(value)


def _changed(root: Path, outputs: list[Output]) -> Iterator[str]:
    """Files that are there and differ from their digest; folders are not compared."""
    for out in outputs:
        path = root / out.path
        if not out.path.startswith(("metrics/", "data/tables/")) or not path.is_file():
            continue
        try:
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        if digest != out.digest:
            yield out.path


def _commit(root: Path) -> str | None:
    if not (root / ".git").exists():  # not that of a repository around the project
        return None
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
