"""MBPP, HumanEval and their stricter versions from the Hugging Face hub, at a pinned revision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ouroboros.errors import UserError

REPOSITORIES = {
    "mbpp": "google-research-datasets/mbpp",
    "humaneval": "openai/openai_humaneval",
    "mbppplus": "evalplus/mbppplus",
    "humanevalplus": "evalplus/humanevalplus",
}


def hub_rows(name: str, revision: str, subset: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where, row) for each row of all splits of a dataset.

    `subset` is the dataset's configuration where it has several (MBPP: full, sanitized).

    Honours `HF_ENDPOINT`, `HF_HOME` and `HF_HUB_OFFLINE` as the `datasets` library does: a copy in
    its cache is used when the hub cannot be reached.

    Raises:
        UserError: the hub cannot be reached and the cache has not this revision, or the hub has no
            such dataset or revision.
    """
    from datasets import config, load_dataset
    from datasets.exceptions import DatasetNotFoundError

    repository = REPOSITORIES[name]
    configuration = {"mbpp": subset, "humaneval": "openai_humaneval"}.get(name, "default")
    try:
        splits = load_dataset(repository, configuration, revision=revision)
    except DatasetNotFoundError as error:
        raise UserError(
            f"the hub at {config.HF_ENDPOINT} has no dataset {repository!r} at revision "
            f"{revision}: {error}"
        ) from error
    except (OSError, ValueError) as error:
        # ConnectionError is an OSError; ValueError is what an offline cache miss raises.
        raise UserError(
            f"{repository} ({configuration}) at revision {revision} could not be loaded from "
            f"{config.HF_ENDPOINT}: {error}\n"
            "  without the hub: set HF_HUB_OFFLINE=1 where an earlier run cached the dataset, or "
            "set the params source: path, path: <the published file>, sha256: <its digest>, or "
            "use a packaged set (source: packaged)"
        ) from error
    # Where the revision cannot be had, `datasets` takes whichever it has in its cache, with a
    # warning; its files lie in a folder named after the commit.
    for split in splits.values():
        for file in split.cache_files:
            if revision not in Path(file["filename"]).parts:
                raise UserError(
                    f"{repository} at revision {revision} could not be loaded from "
                    f"{config.HF_ENDPOINT}: only another revision is in the cache"
                )
    for split in sorted(splits):
        for index, row in enumerate(splits[split]):
            yield f"{repository}@{revision[:7]}, {split}[{index}]", row
