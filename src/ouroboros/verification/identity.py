"""What a verdict depends on besides problem and program: the key of stored work."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
from functools import cache
from pathlib import Path
from typing import Any

from ouroboros.verification.jail import INSIDE, JUDGE, JailSpec
from ouroboros.verification.params import ExecuteParams


@cache
def code_digest() -> str:
    """A digest of the code that runs in the jails: any change to it may change a verdict."""
    found = hashlib.sha256()
    for path in sorted([*INSIDE.glob("*.py"), *JUDGE.glob("*.py")]):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sandbox_identity(spec: JailSpec, params: ExecuteParams) -> dict[str, Any]:
    """Everything but problem and program, as plain values."""
    return {
        "verifier": code_digest(),
        "config": file_digest(spec.config),
        "interpreter": spec.interpreter.version,
        "machine": platform.machine(),
        "params": dataclasses.asdict(params),
    }
