"""The model card of a critic: what a stranger who finds the folder has to know."""

from __future__ import annotations

from collections.abc import Mapping

HEAD = """\
---
library_name: transformers
pipeline_tag: text-classification
language: code
tags:
- reward-model
- code
---
# Critic

Says, from a task and a Python program, without running it, how likely the program is to pass the
task's tests. Backbone: `{backbone}`{revision}.

```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained("models/critic")
tokenizer = AutoTokenizer.from_pretrained("models/critic")
```

Its one logit is the reward: it orders the programs of one task. The probability is
`sigmoid({slope:.4f} * reward {sign} {intercept:.4f})`, as `config.json` has it under
`ouroboros`.{likelihood}

What it reads is written by `ouroboros.critic.serialise`; `load_critic(folder).score` of
`ouroboros.critic.scoring` does all of it, and so does the command `ouroboros score`.
"""
LIKELIHOOD = """

The reward is the logit plus {weight:.4f} times the program's mean log-probability per token under
the same model; plain `transformers` gives the logit alone."""
TAIL = """
## Intended use

Choosing among programs that a model wrote for a task, where running them is not possible or not
enough, and research on such choices. Made for short Python functions like those it learned from.

## Limits

- A probability is about tests like those of the training problems. Programs can pass weak tests and
  be wrong.
- It is calibrated on the dev problems' samples: for another generator or other kinds of tasks,
  `p_pass` is off until it is calibrated anew; the order suffers less.
- It does not run anything and cannot be relied on for safety. Never run a program because it scores
  high.
- Of many programs the highest reward is the likeliest to be a mistake of the critic: more samples
  help less and less.
"""


def model_card(
    *,
    params: Mapping[str, object],
    revision: str | None,
    phase: str,
    dev: Mapping[str, float],
    baseline: Mapping[str, float],
    calibration: Mapping[str, float],
    scaling: Mapping[str, float],
    likelihood_weight: float | None,
    data: Mapping[str, object],
) -> str:
    """The card, in Markdown with the hub's front matter.

    Args:
        params: the curated params (`report.run_params`).
        phase: of the curriculum, which this critic is of.
        dev: its figures on dev (best_of_k, pair_accuracy); `baseline` those without training.
        calibration: Brier score and calibration error; `scaling` slope and intercept.
        data: counts and digests of what it learned from.
    """
    intercept = scaling["intercept"]
    head = HEAD.format(
        backbone=params["backbone"],
        revision=f" at `{revision}`" if revision else "",
        slope=scaling["slope"],
        sign="-" if intercept < 0 else "+",
        intercept=abs(intercept),
        likelihood="" if likelihood_weight is None else LIKELIHOOD.format(weight=likelihood_weight),
    )
    figures = {
        "a random program's pass rate": f"{baseline['dev_random']:.1%}",
        "its pick's, best of k": f"{dev['best_of_k']:.1%}",
        "the oracle's, best of k": f"{baseline['dev_oracle_at_k']:.1%}",
        "pairs in the right order": f"{dev['pair_accuracy']:.1%}",
        "Brier score": f"{calibration['brier']:.3f}",
        "Brier score of always saying the pass rate": f"{calibration['reference_brier']:.3f}",
        "expected calibration error": f"{calibration['expected_calibration_error']:.3f}",
    }
    return "\n".join(
        [
            head,
            f"## On the dev problems (phase {phase})",
            "",
            "Dev chose the checkpoint: these figures are optimistic. Those on test problems are in",
            "the project's metrics.",
            "",
            *_table("figure", figures),
            "",
            "## Learned from",
            "",
            *_table("data", data),
            "",
            "## Params",
            "",
            *_table("param", params),
            TAIL.rstrip("\n"),
        ]
    )


def _table(name: str, rows: Mapping[str, object]) -> list[str]:
    return [
        f"| {name} | |",
        "|---|---|",
        *(f"| {key.replace('_', ' ')} | {value} |" for key, value in rows.items()),
    ]
