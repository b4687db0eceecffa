"""An OpenAI-compatible endpoint as the engine: a running `vllm serve`, or another.

Each candidate is one request with a seed of its own, so that it depends on nothing else that is
asked; `concurrency` of them are under way at once, and each answer is handed on as it comes. What
the endpoint really runs cannot be seen from here: its weights, their number format and its build
are as whoever started it says. Two things can be checked: that it lists the model asked for, and,
where the prompt is sent as text, that it reads as many tokens as the tokenizer of `generate.model`
makes of it.

The `openai` client sends, waits and sends again. What it would take from the environment by itself
(OPENAI_API_KEY, OPENAI_BASE_URL and others) is overruled: one endpoint's key is not for another.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ouroboros.errors import UserError
from ouroboros.generation.endpoint_answers import (
    MalformedAnswer,
    Unfinished,
    completion_of,
    listed_models,
    quoted,
    server_message,
    status_advice,
)
from ouroboros.generation.params import OpenaiParams
from ouroboros.generation.prompts import Prompt
from ouroboros.generation.requests import Completion, Request

KEPT = "what was drawn is kept: the same command again draws only the rest"


class OpenaiEngine:
    """Draws from an endpoint, which is asked for the first time when a request comes.

    Args:
        model: what the params call the model; the endpoint's name for it unless
            `params.served_name` gives another.
        tokenizer: that of the model, which counts prompt tokens; null with api `chat`.

    Raises:
        UserError: the environment variable with the API key is not set, or holds none.
    """

    def __init__(self, model: str, params: OpenaiParams, tokenizer: Any) -> None:
        self._params, self._tokenizer = params, tokenizer
        self._served_name = params.served_name or model
        self._key = _api_key(params.api_key_variable)
        self._lengths: dict[str, int] = {}

    @property
    def identity(self) -> str:
        """API and served name. Not the address: the same model behind another is the same."""
        without = "" if self._params.logprobs else " without log-probabilities"
        return f"openai {self._params.api} {self._served_name}{without}"

    def check(self, prompts: Iterable[Prompt], max_tokens: int) -> None:
        """Nothing yet: the endpoint is not asked before there is something to draw."""

    def complete(self, requests: Sequence[Request]) -> Iterator[list[tuple[Request, Completion]]]:
        """Answer all requests. After a fault that stays, no further request is sent; those under
        way are finished and handed on, then the fault is raised.

        Raises:
            UserError: the endpoint cannot be reached, refuses, answers something else than its API
                fixes, or does not serve the model; or a prompt is longer than its context.
        """
        if not requests:
            return
        waiting = deque(requests)
        running: dict[asyncio.Task[Completion], Request] = {}
        fault: BaseException | None = None
        # The loop runs only while this generator is asked for more; closing it cancels the rest.
        with asyncio.Runner() as runner:
            client = self._client()
            try:
                runner.run(self._check_model(client, requests))
                while running or (waiting and fault is None):
                    while waiting and fault is None and len(running) < self._params.concurrency:
                        request = waiting.popleft()
                        task = runner.get_loop().create_task(self._answer(client, request))
                        running[task] = request
                    finished = []
                    for task in runner.run(_some_done(running)):
                        request = running.pop(task)
                        if (error := task.exception()) is None:
                            finished.append((request, task.result()))
                        else:
                            fault = fault or error
                    if finished:
                        yield finished
                if fault is not None:
                    raise fault
            finally:
                for task in running:
                    task.cancel()
                runner.run(client.close())

    def _headers(self) -> dict[str, Any]:
        """Given with each request, so that nothing of it comes from the environment."""
        import openai

        return {
            "Authorization": openai.omit if self._key is None else f"Bearer {self._key}",
            "OpenAI-Organization": openai.omit,
            "OpenAI-Project": openai.omit,
        }

    def _client(self) -> Any:
        import openai

        silence = self._params.timeout_seconds
        return openai.AsyncOpenAI(
            base_url=self._params.base_url,
            api_key=self._key or "none",
            admin_api_key="",
            timeout=openai.Timeout(silence, connect=min(silence, 30.0)),
            max_retries=self._params.retries,
        )

    async def _check_model(self, client: Any, requests: Sequence[Request]) -> None:
        """Raise `UserError` if the endpoint lists its models without the one asked for, or with too
        short a context. One that has no such list is taken at its word."""
        import openai

        try:
            answer = await client.models.with_raw_response.list(extra_headers=self._headers())
            models = listed_models(answer.text)
        except openai.APIStatusError as error:
            if error.status_code in (401, 403) or error.status_code >= 500:
                raise self._fault(error) from error
            return
        except openai.APIConnectionError as error:
            raise self._fault(error) from error
        except MalformedAnswer:
            return
        if self._served_name not in models:
            names = ", ".join(repr(name) for name in sorted(models)[:5])
            more = f" and {len(models) - 5} others" if len(models) > 5 else ""
            raise UserError(
                f"the endpoint {self._params.base_url} does not serve {self._served_name!r}; it "
                f"serves {quoted(names) or 'nothing'}{more}\n"
                "  set generate.openai.served_name to its name for the model that generate.model "
                "says, or start it with that model (vllm serve --served-model-name)"
            )
        context = models[self._served_name]
        for request in requests if context and self._tokenizer else ():
            length = self._length(request.prompt)
            if length + request.max_tokens > (context or 0):
                raise UserError(
                    f"problem {request.problem_id!r}: its prompt has {length} tokens, which with "
                    f"generate.max_tokens ({request.max_tokens}) is more than the context of "
                    f"{context} tokens that the endpoint {self._params.base_url} has\n"
                    "  serve the model with a longer one (vllm serve --max-model-len), lower "
                    "generate.max_tokens, or leave the problem out"
                )

    async def _answer(self, client: Any, request: Request) -> Completion:
        import openai

        chat = self._params.api == "chat"
        create = (client.chat.completions if chat else client.completions).with_raw_response.create
        try:
            answer = await create(**self.body(request), extra_headers=self._headers())
            completion, prompt_tokens = completion_of(
                answer.text, self._params.api, request.prompt.stop
            )
        except (openai.APIConnectionError, openai.APIStatusError) as error:
            raise self._fault(error, request) from error
        except Unfinished as error:
            raise UserError(f"{self._subject(request)}: {error}\n  {KEPT}") from error
        except MalformedAnswer as error:
            raise UserError(
                f"{self._subject(request)} got an answer that is none of this API: "
                f"{self._without_key(str(error))}\n"
                f"  see generate.openai.base_url and generate.openai.api; {KEPT}"
            ) from error
        if not chat and prompt_tokens != self._length(request.prompt):
            raise UserError(
                f"{self._subject(request)} was read as {prompt_tokens} tokens, but the tokenizer "
                f"of generate.model makes {self._length(request.prompt)} of its prompt: the "
                "endpoint serves another model, or adds tokens of its own\n"
                "  serve the model that generate.model names, or set generate.openai.api to chat"
            )
        return completion

    def body(self, request: Request) -> dict[str, Any]:
        """The request as the API has it: arguments of the `openai` client's `create`."""
        sampled = request.temperature > 0
        body: dict[str, Any] = {
            "model": self._served_name,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p if sampled else 1.0,
        }
        if stop := self._sent_stop(request.prompt.stop):
            body["stop"] = stop
        if sampled:
            body["seed"] = request.seed
        if self._params.api == "chat":
            body["messages"] = list(request.prompt.messages)
            if self._params.logprobs:
                body["logprobs"] = True
            return body
        body["prompt"] = request.prompt.text
        if self._params.logprobs:
            # The drawn token's and the likeliest one's: 0 alternatives means "none at all" to some.
            body["logprobs"] = 1
        # Beyond OpenAI's API, but what vLLM and others would else take from the model's folder: the
        # chat template has put every special token already, and only what is said here shapes the
        # distribution.
        body["extra_body"] = {
            "add_special_tokens": False,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
        }
        return body

    def _sent_stop(self, stop: Sequence[str]) -> list[str]:
        """As many stop strings as the endpoint takes, in their order; the others act on its answer.
        One that begins with another can never be the first to be complete."""
        needed = [
            string
            for string in stop
            if not any(string.startswith(other) for other in stop if other != string)
        ]
        return needed[: self._params.max_stop_strings]

    def _length(self, prompt: Prompt) -> int:
        if prompt.text not in self._lengths:
            ids = self._tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
            self._lengths[prompt.text] = len(ids)
        return self._lengths[prompt.text]

    def _subject(self, request: Request | None) -> str:
        endpoint = f"the endpoint {self._params.base_url}"
        if request is None:
            return endpoint
        return f"{endpoint}: problem {request.problem_id!r}, sample {request.sample_index}"

    def _without_key(self, text: str) -> str:
        # A server that repeats what it was sent must not bring the key into a log.
        return text.replace(self._key, "***") if self._key else text

    def _fault(self, error: Any, request: Request | None = None) -> UserError:
        import openai

        subject = self._subject(request)
        attempts = self._params.retries + 1
        tries = f"{attempts} attempt{'s' if attempts > 1 else ''}"
        if isinstance(error, openai.APITimeoutError):
            return UserError(
                f"{subject}: no answer within {self._params.timeout_seconds:g} s, in {tries}\n"
                "  raise generate.openai.timeout_seconds, lower generate.openai.concurrency, or "
                f"see what the server is doing; {KEPT}"
            )
        if isinstance(error, openai.APIConnectionError):
            return UserError(
                f"{subject}: no connection, in {tries}: {self._without_key(_reason(error))}\n"
                "  start the server (vllm serve MODEL), or mend generate.openai.base_url; " + KEPT
            )
        what, to_do = status_advice(
            error.status_code,
            served_name=self._served_name,
            key_variable=self._params.api_key_variable,
        )
        said = self._without_key(server_message(error.body)) or "nothing"
        return UserError(f"{subject}: it {what}; it says: {said}\n  {to_do}; {KEPT}")


def _reason(error: BaseException) -> str:
    """What the operating system or the protocol said, below what the libraries made of it."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return quoted(str(error)) or type(error).__name__


def _api_key(variable: str | None) -> str | None:
    if variable is None:
        return None
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"the environment variable {variable}, which generate.openai.api_key_variable names, "
            "is not set\n  set it to the endpoint's API key; null in the params sends none"
        )
    if not (key.isascii() and key.isprintable()) or " " in key:
        # The key itself is not shown, nor what is wrong with which letter of it.
        raise UserError(
            f"the environment variable {variable} holds no API key: one is a single word of ASCII "
            "letters, digits and signs"
        )
    return key


async def _some_done(
    tasks: Iterable[asyncio.Task[Completion]],
) -> set[asyncio.Task[Completion]]:
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return done
