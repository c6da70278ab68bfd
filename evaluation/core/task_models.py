"""Models as lm-evaluation-harness asks them: one that counts its requests, and one that knows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from zlib import crc32

__all__ = ["Answerer", "knows_nothing", "model_watched"]

Beat = Callable[[int, int], None]


@dataclass(frozen=True)
class Answerer:
    """`ask` answers requests of a kind ("loglikelihood", "loglikelihood_rolling", "generate_until"), whose
    `args` are a context and what is wanted of it; `template` makes one text of a conversation."""

    name: str
    ask: Callable[[str, Sequence[Any]], Iterable[Any]]
    template: Callable[[list[dict[str, str]], bool], str]


def knows_nothing() -> Answerer:
    """Likes one choice or another by chance, always the same, and writes nothing: enough to see what a
    task asks and how it is scored."""

    def ask(kind: str, requests: Sequence[Any]) -> list[Any]:
        if kind == "generate_until":
            return ["" for _ in requests]
        values = [-float(crc32(repr(request.args).encode())) for request in requests]
        return [(value, False) for value in values] if kind == "loglikelihood" else values

    return Answerer("none", ask, lambda talk, reply: "\n".join(said["content"] for said in talk))


def model_watched(inner: Answerer, beat: Beat, *, size: int) -> Any:
    """The library's `LM` around `inner`: after every `size` requests `beat` hears how many of how many
    are answered. It may raise, which ends the asking."""

    def answered(kind: str, requests: Sequence[Any]) -> list[Any]:
        replies: list[Any] = []
        beat(0, len(requests))
        for start in range(0, len(requests), size):
            replies += inner.ask(kind, requests[start : start + size])
            beat(len(replies), len(requests))
        return replies

    class Watched(import_module("lm_eval.api.model").LM):  # type: ignore[misc]
        tokenizer_name = inner.name

        def loglikelihood(self, requests: Sequence[Any]) -> list[Any]:
            return answered("loglikelihood", requests)

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[Any]:
            return answered("loglikelihood_rolling", requests)

        def generate_until(self, requests: Sequence[Any]) -> list[Any]:
            return answered("generate_until", requests)

        def apply_chat_template(
            self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
        ) -> str:
            return inner.template(chat_history, add_generation_prompt)

    return Watched()
