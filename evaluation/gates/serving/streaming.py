"""One answer of the deployed policy, read piece by piece as it is written; standard library only.

People talk to it to make labels, so that a canary never answers here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings

from .client import CHAT, MOST_TOKENS, NO_CANARY, VERSION, PolicyUnavailable

CONNECT_SECONDS = 3.0
SILENCE_SECONDS = 60.0  # between two pieces, the first among them
SAID = 300


class PolicyStream:
    """An answer under way. Once `pieces` is through, `ended` says whether it was not cut off, `version` which
    model version wrote it, `tokens` how long it is (None: the engine does not say) and `max_tokens` how long it
    might have been."""

    def __init__(
        self,
        messages: Sequence[Mapping[str, str]],
        *,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> None:
        self.body = {
            "messages": [dict(message) for message in messages],
            "temperature": temperature,
            "top_p": top_p,
            "seed": seed,
            "stream": True,
        }
        self.finish = ""  # the engine's word for how it ended; without one the answer is not whole
        self.tokens: int | None = None
        self.version = ""
        self.max_tokens: int | None = None
        self._socket: socket.socket | None = None

    @property
    def ended(self) -> bool:
        return self.finish != "length"

    def pieces(self) -> Iterator[str]:
        """The answer's text. Raises `PolicyUnavailable`, also in the middle."""
        host, port = settings.POLICY_SERVER_HOST, settings.POLICY_SERVER_PORT
        connection = http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        try:
            connection.connect()
            self._socket = connection.sock
            self._socket.settimeout(SILENCE_SECONDS)
            content = json.dumps(self.body).encode()
            headers = {"Content-Type": "application/json", NO_CANARY: "1"}
            connection.request("POST", CHAT, content, headers)
            yield from self._read(connection.getresponse())
        except TimeoutError as error:
            raise PolicyUnavailable(f"{host}:{port} was silent too long.", code="silent") from error
        except (OSError, http.client.HTTPException) as error:
            raise PolicyUnavailable(f"No answer from {host}:{port} ({error}).") from error
        finally:
            connection.close()

    def close(self) -> None:
        """Let go of the answer, from another thread as well."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self, response: http.client.HTTPResponse) -> Iterator[str]:
        if response.status != 200:
            raise _refused(response.status, response.read(1 << 16).decode(errors="replace"))
        self.version = response.headers.get(VERSION, "")
        tokens = response.headers.get(MOST_TOKENS, "")
        self.max_tokens = int(tokens) if tokens.isdecimal() else None
        while line := response.readline():
            event = line.strip()
            if event.startswith(
                b"data: {"
            ):  # the other one is [DONE], which not every engine sends
                yield from self._event(event[len(b"data: ") :])
        if not self.finish:
            raise PolicyUnavailable("The answer broke off.")

    def _event(self, data: bytes) -> Iterator[str]:
        try:
            event: dict[str, Any] = json.loads(data)
            if "error" in event:
                raise PolicyUnavailable(str(event["error"])[:SAID])
            if usage := event.get("usage"):
                self.tokens = int(usage["completion_tokens"])
            for choice in event["choices"]:
                self.finish = choice.get("finish_reason") or self.finish
                if text := choice["delta"].get("content"):
                    yield text
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise PolicyUnavailable(f"The server sent no event: {data!r:.200}") from error


def _refused(status: int, said: str) -> PolicyUnavailable:
    try:
        error = json.loads(said)["error"]
        message, code = str(error["message"]), str(error["code"] or "")
    except (ValueError, LookupError, TypeError):
        message, code = said, ""
    return PolicyUnavailable(f"The server answered {status}: {message[:SAID]}", code=code)
