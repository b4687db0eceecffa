"""What an OpenAI-compatible endpoint says: answers read strictly, faults put into words.

Pure functions on the JSON of the completions and chat completions API, as vLLM's server and
OpenAI's own write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Literal

from ouroboros.generation.requests import Completion

LONGEST_QUOTE = 500
"""Characters of a server's own words that a message repeats."""

_HALF = re.compile("[\ud800-\udfff]")
_KINDS = {str: "a string", int: "an integer", dict: "an object", list: "a list", float: "a number"}


class MalformedAnswer(ValueError):
    """An answer that does not have the form its API fixes; the message names the field."""


class Unfinished(ValueError):
    """An answer whose drawing was broken off by the server: not a sample."""


def completion_of(
    text: str, api: Literal["completions", "chat"], stop: Sequence[str]
) -> tuple[Completion, int]:
    """The completion in the body of an answer, and how many prompt tokens the endpoint counted.

    A chat answer without content (a reasoning model that never came to its answer) is an empty
    reply. `sum_logprob` is null where the endpoint gives no log-probabilities.

    Args:
        stop: the strings that end the completion. One that the endpoint was not told of ends it
            here, with the token that completes it, as it would have ended there; where the answer
            does not say which token that was, `num_tokens` counts what was drawn and `sum_logprob`
            is null.

    Raises:
        MalformedAnswer: not JSON, or a field is missing or of another type.
        Unfinished: the server broke the request off.
    """
    body = parse(text)
    choices = _field(body, "choices", list)
    if len(choices) != 1:
        raise MalformedAnswer(f"field 'choices': expected one entry, found {len(choices)}")
    choice = choices[0]
    reason = _field(choice, "finish_reason", str)
    if reason in ("abort", "error"):
        raise Unfinished(f"the server broke the request off (finish_reason {reason!r})")
    if api == "chat":
        message = _field(choice, "message", dict)
        said = "" if message.get("content") is None else _field(message, "content", str)
    else:
        said = _field(choice, "text", str)
    usage = _field(body, "usage", dict)
    num_tokens = _field(usage, "completion_tokens", int)
    logprobs = _logprobs(choice.get("logprobs"), api)
    if (found := first_stop(said, stop)) is not None:
        said, reason = said[: found[0]], "stop"
        kept = _tokens_until(found[1], logprobs)
        logprobs = None if kept is None or logprobs is None else logprobs[:kept]
        num_tokens = num_tokens if kept is None else kept
    completion = Completion(
        # Half of a character that was cut in two, as JavaScript servers send it, is no text.
        text=_HALF.sub("\ufffd", said),
        finish_reason=reason,
        num_tokens=num_tokens,
        # Rounded as engine vllm does: the last bits may depend on what else was in the batch.
        sum_logprob=None if logprobs is None else round(sum(value for _, value in logprobs), 4),
    )
    return completion, _field(usage, "prompt_tokens", int)


def _logprobs(found: Any, api: Literal["completions", "chat"]) -> list[tuple[str, float]] | None:
    """Each drawn token, as text, with its log-probability."""
    if found is None or (
        api == "chat" and isinstance(found, dict) and found.get("content") is None
    ):
        return None
    if api == "chat":
        return [
            (_field(token, "token", str), float(_field(token, "logprob", float)))
            for token in _field(found, "content", list)
        ]
    tokens, values = _field(found, "tokens", list), _field(found, "token_logprobs", list)
    if len(tokens) != len(values):
        raise MalformedAnswer(f"{len(tokens)} 'tokens' with {len(values)} 'token_logprobs'")
    return [
        (_require(token, "tokens", str), float(_require(value, "token_logprobs", float)))
        for token, value in zip(tokens, values, strict=True)
    ]


def first_stop(text: str, stop: Sequence[str]) -> tuple[int, str] | None:
    """(Where it begins, which one) of the stop string that is complete first; null without any."""
    found = [(at + len(string), at, string) for string in stop if (at := text.find(string)) >= 0]
    if not found:
        return None
    _, at, string = min(found, key=lambda entry: entry[0])
    return at, string


def _tokens_until(stop: str, logprobs: list[tuple[str, float]] | None) -> int | None:
    """How many tokens there are up to the one that completes `stop`; null where they do not spell
    it."""
    written = ""
    for number, (token, _) in enumerate(logprobs or [], start=1):
        written += token
        if stop in written[-len(stop) - len(token) :]:
            return number
    return None


def listed_models(text: str) -> dict[str, int | None]:
    """The models that `GET /models` lists, each with the context in tokens where it says so.

    Raises:
        MalformedAnswer: not such a list.
    """
    models: dict[str, int | None] = {}
    for model in _field(parse(text), "data", list):
        # vLLM's own addition.
        longest = model.get("max_model_len") if isinstance(model, dict) else None
        models[_field(model, "id", str)] = longest if type(longest) is int else None
    return models


def parse(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        MalformedAnswer: it is none; the message quotes its beginning.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise MalformedAnswer(f"expected JSON, found {quoted(text) or 'nothing'}") from None


def _no_number(name: str) -> float:
    # Python would take NaN and Infinity, which JSON does not have.
    raise ValueError(name)


def _field(value: Any, name: str, kind: type) -> Any:
    if not isinstance(value, dict):
        raise MalformedAnswer(f"expected an object with {name!r}, found {quoted(value)}")
    if name not in value:
        raise MalformedAnswer(f"missing field {name!r}")
    return _require(value[name], name, kind)


def _require(value: Any, name: str, kind: type) -> Any:
    allowed = (float, int) if kind is float else (kind,)
    if type(value) not in allowed:
        raise MalformedAnswer(f"field {name!r}: expected {_KINDS[kind]}, found {quoted(value)}")
    return value


def server_message(body: Any) -> str:
    """What the server says of a fault, from the body of its answer, in one printable line."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        if isinstance(inner, dict):
            inner = inner.get("message") or inner.get("detail") or inner
        body = inner
    return quoted(body)


def quoted(value: Any) -> str:
    """A server's value for a message: printable, in one line, and not longer than it helps."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_QUOTE else text[: LONGEST_QUOTE - 3] + "..."


def status_advice(status: int, *, served_name: str, key_variable: str | None) -> tuple[str, str]:
    """(What happened, what to do) for an HTTP status that is no success.

    Args:
        served_name: the model asked for.
        key_variable: the environment variable with the API key; null where none was sent.
    """
    if status in (401, 403):
        if key_variable is None:
            return (
                "wants an API key",
                "put it into an environment variable and give that variable's name as "
                "generate.openai.api_key_variable",
            )
        return (
            f"refused the API key in the environment variable {key_variable}",
            f"set {key_variable} to a key that this endpoint takes",
        )
    if status == 404:
        return (
            f"knows no such page, or no model {served_name!r}",
            "see generate.openai.base_url (most end in /v1), generate.openai.api and "
            "generate.openai.served_name",
        )
    if status in (408, 429):
        return (
            "takes no more requests",
            "lower generate.openai.concurrency, raise generate.openai.retries, or wait",
        )
    if status >= 500:
        return (f"failed (HTTP status {status})", "see the server's own log")
    return (
        f"refused the request (HTTP status {status})",
        "if the prompt is too long: serve the model with a longer context (vllm serve "
        "--max-model-len), lower generate.max_tokens, or leave the problem out; if it names an "
        "option: see docs/generation.md for what each generate.openai.api sends",
    )
