"""What a chat request may hold, by OpenAI's schema: read strictly, so that nothing is silently ignored.

Source: the API reference, "Create chat completion". A field that the schema has and the engine cannot
do is refused by its name, unless its value is the one that changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from web.texts import storable

ROLES = ("system", "developer", "user", "assistant")
MOST_CHOICES = 16
MOST_STOPS = 4
# With these values they ask for nothing.
WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "logprobs": (False, None),
    "presence_penalty": (0, None),
    "response_format": ({"type": "text"}, None),
    "stream_options": (None, {}, {"include_usage": False}),
    "store": (False, None),
    "service_tier": ("auto", "default", None),
    "tools": (None, []),
}
UNSUPPORTED = {
    *WITHOUT_EFFECT, "audio", "function_call", "functions", "logit_bias", "modalities",
    "parallel_tool_calls", "prediction", "reasoning_effort", "tool_choice", "top_logprobs",
    "web_search_options", "moderation", "verbosity",
}  # fmt: skip
# About the request, or about what is kept of it: no answer depends on them.
DESCRIPTIVE = {
    "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention",
    "prompt_cache_options",
}  # fmt: skip


class ApiError(Exception):
    """An answer in OpenAI's form; `param` names the field, `code` is for programs."""

    def __init__(self, status: int, message: str, *, param: str = "", code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code

    def document(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {
            "error": {
                "message": self.message,
                "type": kind,
                "param": self.param or None,
                "code": self.code or None,
            }
        }


@dataclass(frozen=True)
class ChatRequest:
    """`options` is what the engine is asked with, beside messages and the number of tokens; `user`, as the
    sender names them, says only which of two versions answers."""

    messages: list[dict[str, str]]
    options: dict[str, Any]
    max_tokens: int | None = None
    n: int = 1
    stream: bool = False
    user: str = ""


def chat_request(body: bytes, *, model: str) -> ChatRequest:
    """The request as it was meant, or an `ApiError` that names the field. `model` is the one served."""
    document = _document(body)
    _fields_check(document)
    if document.get("model") not in (None, model):
        raise ApiError(
            404, f"The model {document['model']!r} does not exist; this server has {model!r}.",
            param="model", code="model_not_found",
        )  # fmt: skip
    n, stream = _number(document, "n", int, 1, MOST_CHOICES) or 1, _flag(document, "stream")
    if stream and n > 1:
        raise _wrong("n", "must be 1 in a stream")
    return ChatRequest(
        _messages(document), _options(document), _max_tokens(document), n, stream, _user(document)
    )


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
        readable = storable(document)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body is no JSON.") from error
    if not readable:
        raise ApiError(
            400, "A text in the body holds a NUL or half of a surrogate pair.", code="invalid_value"
        )
    if not isinstance(document, dict):
        raise ApiError(400, "The body must be a JSON object.")
    return document


def _fields_check(document: dict[str, Any]) -> None:
    for name, value in document.items():
        if name in UNSUPPORTED:
            if value is not None and value not in WITHOUT_EFFECT.get(name, ()):
                raise ApiError(
                    400, f"{name} is not supported by this server.", param=name,
                    code="unsupported_parameter",
                )  # fmt: skip
        elif name not in KNOWN:
            raise ApiError(
                400, f"Unrecognized request argument supplied: {name}", param=name,
                code="unknown_parameter",
            )  # fmt: skip


def _messages(document: dict[str, Any]) -> list[dict[str, str]]:
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _wrong("messages", "must be a list with at least one message")
    return [_message(message, f"messages[{n}]") for n, message in enumerate(messages)]


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise _wrong(where, "must be an object")
    if message.get("role") not in ROLES:
        raise _wrong(f"{where}.role", f"must be one of {', '.join(ROLES)}")
    for name, value in message.items():
        if name not in ("role", "content", "name") and value:
            raise _wrong(f"{where}.{name}", "is not supported by this server")
    role = "system" if message["role"] == "developer" else message["role"]
    return {"role": role, "content": _content(message.get("content"), f"{where}.content")}


def _content(content: Any, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise _wrong(where, "must be a text, or a list of parts of type text")
    for part in content:
        if not isinstance(part, dict) or part.get("type") != "text":
            raise _wrong(where, "may hold parts of type text only")
        if not isinstance(part.get("text"), str):
            raise _wrong(where, "has a part without a text")
    return "\n".join(part["text"] for part in content)


def _options(document: dict[str, Any]) -> dict[str, Any]:
    found = {
        "temperature": _number(document, "temperature", float, 0, 2),
        "top_p": _number(document, "top_p", float, 0, 1, above=True),
        "frequency_penalty": _number(document, "frequency_penalty", float, -2, 2),
        "seed": _number(document, "seed", int, -(2**63), 2**63 - 1),
        "stop": _stop(document.get("stop")),
    }
    return {name: value for name, value in found.items() if value is not None}


def _max_tokens(document: dict[str, Any]) -> int | None:
    both = [
        name for name in ("max_tokens", "max_completion_tokens") if document.get(name) is not None
    ]
    if len(both) > 1:
        raise _wrong("max_tokens", "and max_completion_tokens say the same: give one of them")
    return _number(document, both[0], int, 1, 2**31 - 1) if both else None


def _number(
    document: dict[str, Any],
    name: str,
    kind: Callable[[Any], Any],
    low: float,
    high: float,
    *,
    above: bool = False,
) -> Any:
    """The number from `low` to `high` (`above`: without `low` itself), or None where it is not given."""
    value = document.get(name)
    if value is None:
        return None
    right = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, right):
        raise _wrong(name, "must be a whole number" if kind is int else "must be a number")
    if not low <= value <= high or (above and value == low):
        raise _wrong(name, f"must be {'above' if above else 'at least'} {low} and at most {high}")
    return value


def _flag(document: dict[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise _wrong(name, "must be true or false")
    return bool(value)


def _user(document: dict[str, Any]) -> str:
    user = document.get("user")
    if user is not None and not isinstance(user, str):
        raise _wrong("user", "must be a text")
    return user or ""


def _stop(value: Any) -> list[str] | None:
    if value is None or value == []:
        return None
    texts = [value] if isinstance(value, str) else value
    good = isinstance(texts, list) and all(isinstance(text, str) and text for text in texts)
    if not good or len(texts) > MOST_STOPS:
        raise _wrong("stop", f"must be a text, or a list of up to {MOST_STOPS} texts")
    return list(texts)


def _wrong(param: str, says: str) -> ApiError:
    return ApiError(400, f"{param} {says}.", param=param, code="invalid_value")


KNOWN = {
    "model", "messages", "n", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p",
    "frequency_penalty", "seed", "stop", "user", *DESCRIPTIVE,
}  # fmt: skip
