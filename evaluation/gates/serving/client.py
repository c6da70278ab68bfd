"""Asking the policy server over the OpenAI chat API; standard library only."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings

Message = dict[str, str]
CHAT = "/v1/chat/completions"
# Headers of an answer: which model version writes it, and how many tokens it may have.
VERSION, MOST_TOKENS = "X-Model-Version", "X-Max-Tokens"
# Header of a request that no canary is to answer, whatever it says: the loop's own.
NO_CANARY = "X-No-Canary"


class PolicyUnavailable(RuntimeError):
    """The policy server did not answer; the message says what it did instead, and `code` is the server's own
    word for it ("" where it said none)."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def policy_ask(
    messages: Sequence[Message],
    *,
    host: str = "",
    port: int = 0,
    max_tokens: int = 64,
    temperature: float = 0.0,
    seed: int | None = None,
    timeout: float = 60.0,
) -> str:
    """The deployed policy's reply. Raises `PolicyUnavailable`.

    The request names no model: the server has one. `temperature` 0 is greedy.
    """
    body: dict[str, Any] = {
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": temperature,
    }
    if seed is not None:
        body["seed"] = seed
    answer = _request(
        "POST",
        CHAT,
        host=host or settings.POLICY_SERVER_HOST,
        port=port or settings.POLICY_SERVER_PORT,
        timeout=timeout,
        body=body,
    )
    try:
        reply = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise PolicyUnavailable(f"The server's answer holds no reply: {answer!r:.200}") from error
    return reply or ""


@dataclass(frozen=True)
class ReplicasUp:
    """How many servers of the deployed policy answer, and how many there should be."""

    up: int
    of: int


def policy_replicas(*, host: str, port: int, timeout: float = 5.0) -> ReplicasUp | None:
    """What the policy server says of its replicas; None where none answers."""
    try:
        said = _request("GET", "/health", host=host, port=port, timeout=timeout)
        return ReplicasUp(int(said["replicas"]["up"]), int(said["replicas"]["of"]))
    except (PolicyUnavailable, LookupError, TypeError, ValueError):
        return None


def policy_healthy(*, host: str, port: int, timeout: float = 2.0) -> bool:
    try:
        _request("GET", "/health", host=host, port=port, timeout=timeout)
    except PolicyUnavailable:
        return False
    return True


def _request(
    method: str,
    path: str,
    *,
    host: str,
    port: int,
    timeout: float,
    body: dict[str, Any] | None = None,
) -> Any:
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    content = json.dumps(body).encode() if body is not None else None
    try:
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        raise PolicyUnavailable(
            f"No answer from the policy server at {host}:{port} ({error}). Start it with `manage.py up`"
            " or `manage.py policy_server`, or mend POLICY_SERVER_HOST and POLICY_SERVER_PORT."
        ) from error
    finally:
        connection.close()
    if response.status != 200:
        raise PolicyUnavailable(f"{host}:{port} answered {response.status}: {text[:300]}")
    try:
        return json.loads(text)
    except ValueError as error:
        raise PolicyUnavailable(f"{host}:{port} answered no JSON: {text[:300]}") from error
