"""Asking the engine for the relay: one connection a request, so that no failure reaches the next one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

from .chat import ApiError, ChatRequest

LOCAL = "127.0.0.1"
PATH = "/v1/chat/completions"
ENGINE_SECONDS = 600.0  # of silence: a long answer without a stream is written in one piece
PIECE = 1 << 16
SAID = 300
NO_ANSWER = "The engine gave no answer."


class EngineAway(Exception):
    """Nobody listens where the engine was; another may have taken its place."""


class NobodyThere(EngineAway):
    """No replica is left that could be asked."""


class EngineLost(EngineAway):
    """The engine went before anything of its answer was passed on."""


class CanaryFailed(EngineAway):
    """The canary's server went, or failed on the request: the deployed policy is to answer it."""


def completion(port: int, request: ChatRequest, *, tokens: int, model: str) -> dict[str, Any]:
    """The answer, with all `n` choices. Raises `EngineAway` or `ApiError`."""
    bodies = [_body(request, tokens, model, choice=i) for i in range(request.n)]
    if len(bodies) == 1:
        return _complete(port, bodies[0], model)
    with ThreadPoolExecutor(len(bodies)) as pool:
        return _merged(list(pool.map(lambda body: _complete(port, body, model), bodies)))


def stream(port: int, request: ChatRequest, *, tokens: int, model: str) -> Iterator[bytes]:
    """The engine's events as they come; the first is there before anything is returned."""
    connection = http.client.HTTPConnection(LOCAL, port, timeout=ENGINE_SECONDS)
    try:
        response = _asked(connection, _body(request, tokens, model))
        first = _first(response)
    except BaseException:
        connection.close()
        raise
    return _events(connection, response, first)


def _first(response: http.client.HTTPResponse) -> bytes:
    try:
        first = response.read1(PIECE)
    except (OSError, http.client.HTTPException) as error:
        raise _lost(error) from error
    if not first:
        raise EngineLost
    return first


def _events(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse, first: bytes
) -> Iterator[bytes]:
    """After the first event an error can only be said as another event."""
    with closing(connection):
        yield first
        try:
            while piece := response.read1(PIECE):
                yield piece
        except (OSError, http.client.HTTPException):
            error = ApiError(
                502, "The engine ended in the middle of its answer.", code="engine_error"
            )
            yield b"data: " + json.dumps(error.document()).encode() + b"\n\n"


def _body(request: ChatRequest, tokens: int, model: str, choice: int = 0) -> dict[str, Any]:
    options = dict(request.options)
    if "seed" in options:  # choices of one seed would be the same
        options["seed"] = (options["seed"] + choice) % 2**32
    return {
        **options,
        "model": model,
        "messages": request.messages,
        "max_tokens": tokens,
        "stream": request.stream,
    }


def _complete(port: int, body: dict[str, Any], model: str) -> dict[str, Any]:
    with closing(http.client.HTTPConnection(LOCAL, port, timeout=ENGINE_SECONDS)) as connection:
        response = _asked(connection, body)
        try:
            answer = json.loads(response.read())
            answer["choices"][0]["message"]["content"]
        except (OSError, http.client.HTTPException) as error:
            raise _lost(error) from error
        except (ValueError, LookupError, TypeError) as error:
            raise ApiError(502, "The engine gave no whole answer.", code="engine_error") from error
    return {**answer, "model": model}


def _asked(
    connection: http.client.HTTPConnection, body: dict[str, Any]
) -> http.client.HTTPResponse:
    try:
        connection.connect()
    except OSError as error:
        raise EngineAway from error
    try:
        connection.request(
            "POST", PATH, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        response = connection.getresponse()
        if response.status == 200:
            return response
        said = response.read(1 << 16).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise _lost(error) from error
    if response.status < 500:
        raise ApiError(400, f"The engine refused the request: {_detail(said)}")
    raise ApiError(502, "The engine failed on this request.", code="engine_error")


def _lost(error: Exception) -> Exception:
    """An engine that went may be asked again elsewhere; one that was silent for so long may not."""
    if isinstance(error, TimeoutError):
        return ApiError(502, NO_ANSWER, code="engine_error")
    return EngineLost()


def _detail(said: str) -> str:
    """FastAPI's sentence where there is one."""
    try:
        detail = json.loads(said)["detail"]
    except (ValueError, LookupError, TypeError):
        detail = said
    return str(detail)[:SAID]


def _merged(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """One answer with a choice from each; the prompt is counted once."""
    choices = [{**answer["choices"][0], "index": i} for i, answer in enumerate(answers)]
    usage = dict(answers[0].get("usage") or {})
    if usage:
        usage["completion_tokens"] = sum(a["usage"]["completion_tokens"] for a in answers)
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    return {**answers[0], "choices": choices, **({"usage": usage} if usage else {})}
