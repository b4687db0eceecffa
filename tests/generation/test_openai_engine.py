"""Engine openai against an endpoint that answers as scripted: what is sent, and every fault."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ouroboros.errors import UserError
from ouroboros.generation.openai_engine import OpenaiEngine
from ouroboros.generation.params import GenerateParams, OpenaiParams
from ouroboros.generation.prompts import Prompt
from ouroboros.generation.requests import Completion, Request, sample_seed
from ouroboros.generation.run import draw, generate
from ouroboros.records import Problem
from ouroboros.store import ResultStore
from tests.support.scripted_endpoint import Answer, Call, ScriptedEndpoint, completion, models

PROBLEM = Problem(
    problem_id="mbpp/1", prompt_text="Return x.", entry_point="f", tests=("assert f(1) == 1",)
)
KEY = "sk-very-secret-0123456789"
Script = Callable[[Call], Answer]


class OneToken:
    """A tokenizer for which every word of a prompt is one token."""

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [0] * len(text.split())}


def requests(count: int, **changes: Any) -> list[Request]:
    fields: dict[str, Any] = {"temperature": 0.8, "top_p": 0.95, "max_tokens": 64} | changes
    return [
        Request(
            prompt=Prompt(
                problem_id=f"mbpp/{number}",
                text=f"prompt-{number}",
                reply="",
                stop=("\n```",),
                messages=({"role": "user", "content": f"question {number}"},),
            ),
            sample_index=0,
            seed=sample_seed(0, f"mbpp/{number}", 0),
            **fields,
        )
        for number in range(count)
    ]


def answered_by(script: Script, names: tuple[str, ...] = ("m",)) -> Script:
    """`script` for what is drawn; the list of models tells the truth."""
    return lambda call: models(*names) if call.path == "/models" else script(call)


def engine(endpoint: ScriptedEndpoint, **changes: Any) -> OpenaiEngine:
    settings: dict[str, Any] = {"retries": 0, "concurrency": 4, "timeout_seconds": 30.0} | changes
    params = OpenaiParams(base_url=endpoint.base_url, **settings)
    return OpenaiEngine("m", params, OneToken() if params.api == "completions" else None)


def run(script: Script, count: int = 1, **changes: Any) -> tuple[list[Completion], list[Call]]:
    with ScriptedEndpoint(answered_by(script)) as endpoint:
        batches = list(engine(endpoint, **changes).complete(requests(count)))
        calls = [call for call in endpoint.calls if call.path != "/models"]
    found = {request.problem_id: answer for batch in batches for request, answer in batch}
    assert len(found) == count
    return [found[f"mbpp/{number}"] for number in range(count)], calls


def failure(script: Script, count: int = 1, **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        run(script, count, **changes)
    return str(caught.value)


def test_what_is_sent_to_the_completions_api() -> None:
    answers, calls = run(lambda call: completion("text"))
    assert answers == [
        Completion(text="text", finish_reason="stop", num_tokens=3, sum_logprob=-1.75)
    ]
    assert calls[0].path == "/completions"
    assert calls[0].body == {
        "model": "m",
        "prompt": "prompt-0",
        "stop": ["\n```"],
        "max_tokens": 64,
        "temperature": 0.8,
        "top_p": 0.95,
        "seed": sample_seed(0, "mbpp/0", 0),
        "logprobs": 1,
        "add_special_tokens": False,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
    }
    assert "authorization" not in calls[0].headers


def test_a_greedy_request_has_neither_seed_nor_top_p() -> None:
    with ScriptedEndpoint(answered_by(lambda call: completion())) as endpoint:
        list(engine(endpoint).complete(requests(1, temperature=0.0)))
        body = endpoint.asked("/completions")[0].body
    assert "seed" not in body
    assert (body["temperature"], body["top_p"]) == (0.0, 1.0)


def chat(content: str | None = "said", logprobs: Any = None) -> Answer:
    choice = {"message": {"content": content}, "finish_reason": "stop", "logprobs": logprobs}
    return Answer(body={"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})


def test_what_is_sent_to_the_chat_api_is_nothing_but_openais_own() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -1}]}
    answers, calls = run(lambda call: chat(logprobs=logprobs), api="chat")
    assert answers == [
        Completion(text="said", finish_reason="stop", num_tokens=2, sum_logprob=-1.5)
    ]
    assert calls[0].path == "/chat/completions"
    assert calls[0].body == {
        "model": "m",
        "messages": [{"role": "user", "content": "question 0"}],
        "stop": ["\n```"],
        "max_tokens": 64,
        "temperature": 0.8,
        "top_p": 0.95,
        "seed": sample_seed(0, "mbpp/0", 0),
        "logprobs": True,
    }


STOP = ("\n```", "\nif __name__", "\ndef main(", "\nprint(", "\nassert ")


def stopped(script: Script, stop: tuple[str, ...] = STOP, **changes: Any) -> tuple[Any, list[str]]:
    """The answer to a request with these stop strings, and those that were sent."""
    (request,) = requests(1)
    request = dataclasses.replace(request, prompt=dataclasses.replace(request.prompt, stop=stop))
    with ScriptedEndpoint(answered_by(script)) as endpoint:
        ((_, answer),) = next(iter(engine(endpoint, **changes).complete([request])))
        return answer, endpoint.asked("/completions")[0].body.get("stop", [])


def test_the_reply_ends_at_a_stop_string_that_the_endpoint_does_not_take() -> None:
    tokens = ["x = 1", "\n", "\nass", "ert x", "\nprint", " (x)\n", "assert 1"]
    values = [-1, -2, -4, -8, -16, -32, -64]
    drawn = completion(
        "".join(tokens),
        finish_reason="length",
        logprobs={"tokens": tokens, "token_logprobs": values},
    )
    answer, sent = stopped(lambda call: drawn)
    assert sent == list(STOP[:4])
    # Up to the token that completes "\nassert ".
    assert answer == Completion(
        text="x = 1\n", finish_reason="stop", num_tokens=4, sum_logprob=-15.0
    )
    assert stopped(lambda call: drawn, max_stop_strings=5)[1] == list(STOP)


def test_tokens_that_do_not_spell_the_stop_string_have_no_sum() -> None:
    logprobs = {"tokens": ["\u2581assert", "x"], "token_logprobs": [-1, -1]}
    for given in (logprobs, None):
        answer, _ = stopped(lambda call, given=given: completion("a\nassert x", logprobs=given))
        assert answer == Completion(text="a", finish_reason="stop", num_tokens=3, sum_logprob=None)


def test_a_stop_string_that_begins_with_another_is_not_sent() -> None:
    stop = ("\ndef main(", "\nif __name__", "\nprint(", "\ndef ", "\nclass ", "\nif ")
    _, sent = stopped(lambda call: completion(), stop)
    assert sent == ["\nprint(", "\ndef ", "\nclass ", "\nif "]
    assert stopped(lambda call: completion(), ())[1] == []


def test_log_probabilities_are_null_where_none_are_given() -> None:
    assert run(lambda call: completion(logprobs=None))[0][0].sum_logprob is None
    assert run(lambda call: chat(), api="chat")[0][0].sum_logprob is None
    assert run(lambda call: chat(logprobs={"content": None}), api="chat")[0][0].sum_logprob is None
    for api, answer in (("completions", completion(logprobs=None)), ("chat", chat())):
        _, calls = run(lambda call, answer=answer: answer, api=api, logprobs=False)
        assert "logprobs" not in calls[0].body


def test_a_chat_reply_without_content_is_empty() -> None:
    assert run(lambda call: chat(content=None), api="chat")[0][0].text == ""


def test_half_a_character_is_replaced() -> None:
    answers, _ = run(lambda call: completion("a\ud83d"))
    assert answers[0].text == "a\ufffd"


def test_requests_are_under_way_together_but_not_more_than_allowed() -> None:
    def script(call: Call) -> Answer:
        time.sleep(0.05)
        return completion()

    with ScriptedEndpoint(answered_by(script)) as endpoint:
        list(engine(endpoint, concurrency=3).complete(requests(20)))
        assert endpoint.most_at_once == 3


def test_answers_are_handed_on_as_they_come() -> None:
    """Also past one that takes long."""
    first = "prompt-0"

    def script(call: Call) -> Answer:
        if call.body["prompt"] == first:
            time.sleep(1.0)
        return completion()

    with ScriptedEndpoint(answered_by(script)) as endpoint:
        batches = engine(endpoint, concurrency=2).complete(requests(5))
        order = [request.problem_id for batch in batches for request, _ in batch]
    assert order[-1] == "mbpp/0"


def test_nothing_is_asked_when_nothing_is_to_be_drawn() -> None:
    with ScriptedEndpoint(lambda call: completion()) as endpoint:
        assert list(engine(endpoint).complete([])) == []
        assert endpoint.calls == []


# Identity


def test_the_identity_is_the_model_not_the_address() -> None:
    def identity(**changes: Any) -> str:
        return OpenaiEngine("m", OpenaiParams(**changes), OneToken()).identity

    here = identity(base_url="http://127.0.0.1:1/v1")
    assert here == identity(base_url="http://127.0.0.1:2/v1", concurrency=7, retries=1)
    others = [identity(served_name="x"), identity(api="chat"), identity(logprobs=False)]
    assert len({here, *others}) == 4


def test_the_served_name_must_be_among_the_models_listed() -> None:
    with ScriptedEndpoint(lambda call: models("other", "another")) as endpoint:
        with pytest.raises(UserError) as caught:
            list(engine(endpoint).complete(requests(1)))
        assert endpoint.asked("/completions") == []
    assert "does not serve 'm'; it serves 'another', 'other'\n" in str(caught.value)
    assert "generate.openai.served_name" in str(caught.value)


@pytest.mark.parametrize(
    "listing",
    [Answer(status=404, body={"detail": "Not Found"}), Answer(body=b"<html>"), Answer(body=[1])],
    ids=["no page", "no JSON", "no list"],
)
def test_an_endpoint_without_a_list_of_models_is_asked_all_the_same(listing: Answer) -> None:
    def script(call: Call) -> Answer:
        return listing if call.path == "/models" else completion()

    with ScriptedEndpoint(script) as endpoint:
        assert len(list(engine(endpoint).complete(requests(1)))) == 1


def test_a_prompt_longer_than_the_context_that_is_listed() -> None:
    def script(call: Call) -> Answer:
        return models("m", max_model_len=64) if call.path == "/models" else completion()

    with ScriptedEndpoint(script) as endpoint:
        with pytest.raises(UserError) as caught:
            list(engine(endpoint).complete(requests(2)))
        assert endpoint.asked("/completions") == []
    assert "problem 'mbpp/0': its prompt has 1 tokens" in str(caught.value)
    assert "more than the context of 64 tokens" in str(caught.value)


def test_another_number_of_prompt_tokens_is_noticed() -> None:
    said = failure(lambda call: completion(prompt_tokens=2))
    assert "was read as 2 tokens, but the tokenizer of generate.model makes 1 of its prompt" in said


# Faults that pass


def failing_first(times: int, fault: Answer) -> Script:
    return lambda call: fault if call.number < times else completion("at last")


@pytest.mark.parametrize(
    "fault",
    [Answer(status=500, body={"error": {"message": "engine"}}), Answer(status=503),
     Answer(status=429), Answer(close=True)],
    ids=["500", "503", "429", "closed"],
)  # fmt: skip
def test_a_fault_that_passes_is_tried_again(fault: Answer) -> None:
    answers, calls = run(failing_first(2, fault), retries=2)
    assert answers[0].text == "at last"
    assert len(calls) == 3


def test_a_server_that_hangs_is_asked_again() -> None:
    answers, calls = run(failing_first(1, Answer(hang=True)), retries=1, timeout_seconds=0.5)
    assert answers[0].text == "at last"
    assert len(calls) == 2


def test_retry_after_is_waited_for() -> None:
    fault = Answer(status=429, headers={"Retry-After": "2"}, body={"error": {"message": "slow"}})
    started = time.monotonic()
    run(failing_first(1, fault), retries=1)
    # Without it the wait is half a second.
    assert time.monotonic() - started >= 2.0


# Faults that stay


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, {"error": {"message": "EngineCore died"}},
         ["it failed (HTTP status 500); it says: EngineCore died", "see the server's own log"]),
        (429, {"error": {"message": "quota"}},
         ["it takes no more requests; it says: quota", "lower generate.openai.concurrency"]),
        (400, {"error": {"message": "maximum context length is 64 tokens"}},
         ["it refused the request (HTTP status 400); it says: maximum context length is 64 tokens",
          "lower generate.max_tokens"]),
        (422, {"detail": [{"loc": ["body", "top_k"]}]}, ["HTTP status 422", "top_k"]),
        (404, {"error": {"message": "no such model"}},
         ["it knows no such page, or no model 'm'; it says: no such model",
          "generate.openai.base_url"]),
        (502, b"<html>\n<b>Bad Gateway</b>", ["it says: <html> <b>Bad Gateway</b>"]),
        (500, b"", ["it says: nothing"]),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else "",
)  # fmt: skip
def test_a_fault_names_the_problem_and_quotes_the_server(
    status: int, body: Any, expected: list[str]
) -> None:
    said = failure(lambda call: Answer(status=status, body=body))
    assert "problem 'mbpp/0', sample 0: " in said
    assert "what was drawn is kept" in said
    for part in expected:
        assert part in said


def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    params = OpenaiParams(base_url=f"http://127.0.0.1:{port}/v1", retries=1)
    with pytest.raises(UserError) as caught:
        list(OpenaiEngine("m", params, OneToken()).complete(requests(1)))
    said = str(caught.value)
    assert f"the endpoint http://127.0.0.1:{port}/v1: no connection, in 2 attempts: " in said
    assert "Connection refused\n" in said
    assert "vllm serve" in said


def test_a_host_that_does_not_exist() -> None:
    params = OpenaiParams(base_url="http://nowhere.invalid:8000/v1", retries=0)
    with pytest.raises(UserError) as caught:
        list(OpenaiEngine("m", params, OneToken()).complete(requests(1)))
    assert "http://nowhere.invalid:8000/v1: no connection, in 1 attempt: " in str(caught.value)
    assert "not known" in str(caught.value) or "name resolution" in str(caught.value)


def test_a_server_that_stays_silent() -> None:
    said = failure(lambda call: Answer(hang=True), retries=1, timeout_seconds=0.3)
    assert "no answer within 0.3 s, in 2 attempts" in said
    assert "generate.openai.timeout_seconds" in said


def test_a_server_that_closes_every_connection() -> None:
    said = failure(lambda call: Answer(close=True))
    assert "no connection, in 1 attempt: Server disconnected" in said


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(body=b"not json \x00\xff"), "expected JSON, found not json"),
        (Answer(body=b""), "expected JSON, found nothing"),
        (Answer(body=[1]), "expected an object with 'choices', found [1]"),
        (Answer(body={"usage": {}}), "missing field 'choices'"),
        (Answer(body={"choices": []}), "field 'choices': expected one entry, found 0"),
        (completion(finish_reason=None), "field 'finish_reason': expected a string, found null"),
        (completion(text=None), "field 'text': expected a string, found null"),
        (completion(logprobs={"tokens": ["a", "b"], "token_logprobs": [-1]}),
         "2 'tokens' with 1 'token_logprobs'"),
        (completion(logprobs={"tokens": ["a"], "token_logprobs": [None]}),
         "field 'token_logprobs': expected a number, found null"),
        (Answer(body=b'{"choices": [{"finish_reason": "stop", "text": NaN}]}'), "expected JSON"),
        (Answer(body={"choices": [{"finish_reason": "stop", "text": ""}]}),
         "missing field 'usage'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_an_answer_of_another_form_names_the_field(answer: Answer, expected: str) -> None:
    said = failure(lambda call: answer)
    assert "problem 'mbpp/0', sample 0 got an answer that is none of this API" in said
    assert expected in said


def test_a_long_answer_is_quoted_in_part() -> None:
    assert len(failure(lambda call: Answer(body=b"x" * 100_000))) < 1000


def test_a_reply_that_the_server_broke_off_is_no_sample() -> None:
    said = failure(lambda call: completion("half a", finish_reason="abort"))
    assert "broke the request off (finish_reason 'abort')" in said


# The API key


def test_the_key_comes_from_the_variable_that_the_params_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_ENDPOINT_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-endpoint")
    _, calls = run(lambda call: completion(), api_key_variable="MY_ENDPOINT_KEY")
    assert calls[0].headers["authorization"] == f"Bearer {KEY}"


def test_no_key_is_sent_unless_the_params_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-another-endpoint")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    with ScriptedEndpoint(answered_by(lambda call: completion())) as endpoint:
        list(engine(endpoint).complete(requests(1)))
        sent = [json.dumps(call.headers) for call in endpoint.calls]
    assert len(sent) == 2
    assert all("of-another-endpoint" not in headers for headers in sent)


@pytest.mark.parametrize("path", ["/models", "/completions"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_names_its_variable(
    status: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_ENDPOINT_KEY", KEY)

    def script(call: Call) -> Answer:
        if call.path != path:
            return models("m")
        said = f"bad key: {call.headers.get('authorization')}"
        return Answer(status=status, body={"error": {"message": said}})

    with ScriptedEndpoint(script) as endpoint:
        with pytest.raises(UserError) as caught:
            list(engine(endpoint, api_key_variable="MY_ENDPOINT_KEY").complete(requests(1)))
        assert "it refused the API key in the environment variable MY_ENDPOINT_KEY" in str(
            caught.value
        )
        assert KEY not in str(caught.value)
        with pytest.raises(UserError) as caught:
            list(engine(endpoint).complete(requests(1)))
        assert "it wants an API key" in str(caught.value)
        assert "generate.openai.api_key_variable" in str(caught.value)


@pytest.mark.parametrize("value", [None, "", "  ", "two words", "schlüssel", "a\x01b"])
def test_a_variable_without_a_key_is_named(
    value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_ENDPOINT_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("MY_ENDPOINT_KEY", value)
    with pytest.raises(UserError) as caught:
        OpenaiEngine("m", OpenaiParams(api_key_variable="MY_ENDPOINT_KEY"), OneToken())
    assert "the environment variable MY_ENDPOINT_KEY" in str(caught.value)
    assert not (value or "").strip() or str(value) not in str(caught.value)


# What is kept


def test_what_was_drawn_before_a_fault_is_kept_and_the_rest_is_drawn_at_another_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_ENDPOINT_KEY", KEY)
    settings: dict[str, Any] = {"concurrency": 3, "api_key_variable": "MY_ENDPOINT_KEY"}

    def dying(call: Call) -> Answer:
        return completion(call.body["prompt"]) if call.number < 8 else Answer(status=500)

    asked = requests(20)
    with ResultStore(tmp_path / "samples.sqlite") as store:
        with ScriptedEndpoint(answered_by(dying)) as endpoint:
            with pytest.raises(UserError) as caught:
                draw(asked, engine(endpoint, **settings), store, "m", label="main")
            # No new request was sent once the fault was known.
            assert len(endpoint.asked("/completions")) <= 8 + 3
        assert "it failed (HTTP status 500)" in str(caught.value)
        good = answered_by(lambda call: completion(call.body["prompt"]))
        with ScriptedEndpoint(good) as endpoint:
            answers = draw(asked, engine(endpoint, **settings), store, "m", label="main")
            drawn = {call.body["prompt"] for call in endpoint.asked("/completions")}
    assert len(drawn) == 20 - 8
    assert [answer.text for answer in answers] == [f"prompt-{number}" for number in range(20)]
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"prompt-7" in kept
    assert KEY.encode() not in kept


def test_those_under_way_when_one_is_refused_are_kept() -> None:
    def script(call: Call) -> Answer:
        if call.body["prompt"] == "prompt-1":
            return Answer(status=400, body={"error": {"message": "too long"}})
        time.sleep(0.3)
        return completion()

    found: list[str] = []

    def take(endpoint: ScriptedEndpoint) -> None:
        for batch in engine(endpoint, concurrency=4).complete(requests(9)):
            found.extend(request.problem_id for request, _ in batch)

    with (
        ScriptedEndpoint(answered_by(script)) as endpoint,
        pytest.raises(UserError, match="problem 'mbpp/1'"),
    ):
        take(endpoint)
    assert sorted(found) == ["mbpp/0", "mbpp/2", "mbpp/3"]


# The stage's work


def test_a_chat_needs_no_tokenizer_and_its_fences_are_read(tmp_path: Path) -> None:
    reply = "Sure, here it is:\n\n```python\ndef f(x):\n    return x\n```\nIt returns x."
    with ScriptedEndpoint(answered_by(lambda call: chat(reply), ("org/hosted",))) as endpoint:
        params = GenerateParams(
            engine="openai", model="org/hosted", prompt="qwen2.5-coder", n=2,
            openai=OpenaiParams(base_url=endpoint.base_url, api="chat"),
        )  # fmt: skip
        found = generate([PROBLEM], params, cache=tmp_path, label="main")
        bodies = [call.body for call in endpoint.asked("/chat/completions")]
    assert [(c.sample_index, c.sampling) for c in found] == [
        (-1, "greedy"), (0, "sample"), (1, "sample"),
    ]  # fmt: skip
    assert {c.code for c in found} == {"def f(x):\n    return x"}
    assert {c.completion for c in found} == {reply}
    assert [message["role"] for message in bodies[0]["messages"]] == ["system", "user"]
    assert "Return x." in bodies[0]["messages"][1]["content"]
    assert all("```" not in string for body in bodies for string in body["stop"])


def test_completions_need_the_tokenizer_of_the_model(tmp_path: Path) -> None:
    params = GenerateParams(engine="openai", model="./nowhere", prompt="qwen2.5-coder")
    with pytest.raises(UserError) as caught:
        generate([PROBLEM], params, cache=tmp_path, label="main")
    assert "the tokenizer of generate.model './nowhere' at revision None" in str(caught.value)
    assert "set generate.openai.api to chat" in str(caught.value)
