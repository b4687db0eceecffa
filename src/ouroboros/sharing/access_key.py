"""The access key of the local S3 server: made once, kept for its owner alone."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ouroboros.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class AccessKey:
    """What an S3 client signs its requests with."""

    access_key_id: str
    secret_access_key: str


def read_or_make_key(path: Path) -> AccessKey:
    """The key in `path`, SeaweedFS' file of who may do what; a new one if there is no such file.

    Raises:
        UserError: the file holds something else.
    """
    if not path.exists():
        _write_private(path, json.dumps(_new_identity(), indent=2) + "\n")
    path.chmod(0o600)
    try:
        credentials = json.loads(path.read_text())["identities"][0]["credentials"][0]
        return AccessKey(
            access_key_id=credentials["accessKey"], secret_access_key=credentials["secretKey"]
        )
    except (ValueError, LookupError, TypeError) as error:
        raise UserError(
            f"{path}: not the access key that was written there\n"
            "  delete the file: the next start makes a new key and keeps the data"
        ) from error


def _new_identity() -> dict[str, Any]:
    """One identity, with a key of the form that AWS gives, that may do everything."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    credentials = {
        "accessKey": "".join(secrets.choice(alphabet) for _ in range(20)),
        "secretKey": secrets.token_hex(20),
    }
    identity = {"name": "ouroboros", "credentials": [credentials], "actions": ["Admin"]}
    return {"identities": [identity]}


def _write_private(path: Path, text: str) -> None:
    # Never readable by others, not even for a moment; never half a file under the final name.
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
    draft.replace(path)
