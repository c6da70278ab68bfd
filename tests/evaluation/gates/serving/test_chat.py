"""Every field of OpenAI's schema is used, refused by its name, or asks for nothing."""

from __future__ import annotations

import json
from typing import Any, get_type_hints

import pytest
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from evaluation.gates.serving.chat import (
    KNOWN,
    UNSUPPORTED,
    WITHOUT_EFFECT,
    ApiError,
    chat_request,
)

HELLO = [{"role": "user", "content": "Hello"}]


def refused(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as raised:
        chat_request(json.dumps({"messages": HELLO, **fields}).encode(), model="policy")
    return raised.value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -1), ("temperature", 2.1), ("temperature", "0"), ("temperature", True),
        ("top_p", 0), ("top_p", 1.5), ("max_tokens", 0), ("max_tokens", -5), ("max_tokens", 1.5),
        ("n", 0), ("n", 17), ("n", "3"), ("seed", 0.5), ("stop", [""]), ("stop", ["a"] * 5), ("stop", 3),
        ("frequency_penalty", 3), ("stream", "yes"),
        ("messages", []), ("messages", None), ("messages", "Hello"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_by_its_field(field: str, value: Any) -> None:
    error = refused(**{field: value})
    assert (error.status, error.param) == (400, field)
    assert error.document()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("message", "where"),
    [
        ("Hello", "messages[1]"),
        ({"content": "Hello"}, "messages[1].role"),
        ({"role": "robot", "content": "Hello"}, "messages[1].role"),
        ({"role": "user"}, "messages[1].content"),
        ({"role": "user", "content": 3}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "image_url"}]}, "messages[1].content"),
        ({"role": "assistant", "content": "", "tool_calls": [{}]}, "messages[1].tool_calls"),
    ],
)
def test_a_message_that_cannot_be_is_refused_by_its_place(message: Any, where: str) -> None:
    assert refused(messages=[*HELLO, message]).param == where


@pytest.mark.parametrize("field", sorted(UNSUPPORTED))
def test_what_the_engine_cannot_do_is_refused_by_its_name(field: str) -> None:
    error = refused(**{field: {"anything": 1}})
    assert (error.param, error.code) == (field, "unsupported_parameter")


@pytest.mark.parametrize("field", sorted(WITHOUT_EFFECT))
def test_a_value_that_asks_for_nothing_passes(field: str) -> None:
    for value in WITHOUT_EFFECT[field]:
        body = json.dumps({"messages": HELLO, field: value}).encode()
        assert field not in chat_request(body, model="policy").options


def test_logprobs_are_refused_and_not_answered_with_null() -> None:
    assert refused(logprobs=True).param == "logprobs"
    assert refused(logprobs=True, top_logprobs=3).param == "logprobs"


def test_a_field_that_nobody_knows_is_refused() -> None:
    for field in ("temperatur", "generation_config", "chat_template_kwargs"):
        assert refused(**{field: 1}).code == "unknown_parameter"


def test_two_ways_to_say_one_thing_and_n_in_a_stream_are_refused() -> None:
    assert refused(max_tokens=3, max_completion_tokens=3).param == "max_tokens"
    assert refused(n=2, stream=True).param == "n"


def test_every_field_of_the_schema_is_spoken_of() -> None:
    """The schema is that of the installed client."""
    schema = set(get_type_hints(CompletionCreateParamsStreaming))
    assert {"messages", "temperature", "logprobs"} <= schema
    assert schema <= KNOWN | UNSUPPORTED
    assert not KNOWN & UNSUPPORTED
