"""Feedback through the public port, on whole and streamed answers."""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import openai
import pytest

from annotation import facade as annotation
from annotation.signals.models import ServedCompletion, Signal
from evaluation.gates.routing import CanarySplit
from evaluation.gates.serving.chat import ApiError
from evaluation.gates.serving.client import PolicyUnavailable
from evaluation.gates.serving.engine import free_port
from evaluation.gates.serving.feedback import Journal, KeptStream, feedback_request
from evaluation.gates.serving.relay import Relay
from evaluation.gates.serving.streaming import PolicyStream
from tests.evaluation.gates.serving.test_relay import HELLO, Engine
from tests.evaluation.gates.serving.test_supervisor import FakeServer

LINE, VERSION = uuid.UUID(int=1), uuid.UUID(int=2)


@pytest.fixture
def relay() -> Iterator[Relay]:
    made, engine = Relay("127.0.0.1", 0, name="policy"), Engine("old")
    made.start()
    made.point(engine, version=VERSION)
    made.journal = Journal(LINE)
    yield made
    made.stop()
    engine.shutdown()
    engine.server_close()


def switch(on: bool = True) -> None:
    annotation.signals_switch(line_id=LINE, on=on, actor="a", name="tides")


def client_of(relay: Relay) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"http://127.0.0.1:{relay.port}/v1", api_key="none", max_retries=0
    )


def post(relay: Relay, **document: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", relay.port, timeout=20)
    kind = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/feedback", json.dumps(document), kind)
    response = connection.getresponse()
    read = response.status, json.loads(response.read())
    connection.close()
    return read


@pytest.mark.django_db(transaction=True)
def test_feedback_on_a_whole_answer(relay: Relay) -> None:
    client = client_of(relay)
    assert client.chat.completions.create(model="policy", messages=HELLO).id == "x"
    assert post(relay, completion_id="x", thumb="up")[1]["error"]["code"] == "signals_off"
    switch()
    answered = client.chat.completions.create(model="policy", messages=HELLO)
    status, said = post(relay, completion_id=answered.id, user="ann", thumb="down")
    assert (status, said["completion_id"]) == (200, answered.id)
    kept = ServedCompletion.objects.get(pk=answered.id)
    assert (kept.version_id, kept.messages, kept.text) == (VERSION, HELLO, "old")
    assert Signal.objects.get().thumb == "down"
    status, said = post(relay, completion_id="chatcmpl-0", thumb="down")
    assert (status, said["error"]["code"]) == (404, "completion_not_found")


@pytest.mark.django_db(transaction=True)
def test_feedback_on_a_stream(relay: Relay) -> None:
    switch()
    pieces = list(
        client_of(relay).chat.completions.create(model="policy", messages=HELLO, stream=True)
    )
    (name,) = {piece.id for piece in pieces}
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == "old and more"
    assert post(relay, completion_id=name, edit="old and less")[0] == 200
    assert ServedCompletion.objects.get(pk=name).text == "old and more"


@pytest.mark.django_db(transaction=True)
def test_several_choices_are_not_kept(relay: Relay) -> None:
    switch()
    client_of(relay).chat.completions.create(model="policy", messages=HELLO, n=2)
    assert not ServedCompletion.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_feedback_is_on_the_version_that_answered(relay: Relay) -> None:
    """Of a canary and the deployed policy; each user keeps their side, in streams as well."""
    switch()
    canary, engine = uuid.UUID(int=3), Engine("new")
    split = CanarySplit(uuid.UUID(int=4), 50)
    relay.routes.split(split)
    relay.routes.point_beside(engine, None, canary)
    client = client_of(relay)
    sides = set()
    for user in [f"user {n}" for n in range(8)] * 2:
        mine = canary if split.takes(annotation.user_hash(user)) else VERSION
        raw = client.chat.completions.with_raw_response.create(
            model="policy", messages=HELLO, user=user
        )
        assert raw.headers["X-Model-Version"] == str(mine)
        answered = raw.parse()
        assert answered.choices[0].message.content == ("new" if mine == canary else "old")
        assert post(relay, completion_id=answered.id, user=user, thumb="down")[0] == 200
        assert Signal.objects.get(completion_id=answered.id).version_id == mine
        sides.add(mine)
        pieces = client.chat.completions.create(
            model="policy", messages=HELLO, user=user, stream=True
        )
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert text.startswith("new" if mine == canary else "old")
    assert sides == {canary, VERSION}
    engine.shutdown()
    engine.server_close()


@pytest.mark.django_db(transaction=True)
def test_a_canary_that_is_gone_answers_through_the_deployed_policy(relay: Relay) -> None:
    relay.routes.split(CanarySplit(uuid.UUID(int=4), 50))
    relay.routes.point_beside(FakeServer(free_port()), None, uuid.UUID(int=3))
    client = client_of(relay)
    for user in [f"user {n}" for n in range(8)]:
        answered = client.chat.completions.create(model="policy", messages=HELLO, user=user)
        assert answered.choices[0].message.content == "old"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["die", "break", "end"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_canary_that_fails_on_a_request_leaves_it_to_the_deployed_policy(
    relay: Relay, fault: str, *, stream: bool
) -> None:
    """Also of a stream, as long as nothing of it has gone out."""
    engine = Engine("new", fault=fault)
    relay.routes.split(CanarySplit(uuid.UUID(int=4), 100))
    relay.routes.point_beside(engine, None, uuid.UUID(int=3))
    raw = client_of(relay).chat.completions.with_raw_response.create(
        model="policy", messages=HELLO, stream=stream
    )
    assert raw.headers["X-Model-Version"] == str(VERSION)
    answered: Any = raw.parse()
    first = next(iter(answered)).choices[0].delta if stream else answered.choices[0].message
    assert first.content == "old"
    assert len(engine.asked) == 1
    engine.shutdown()
    engine.server_close()


@pytest.mark.django_db(transaction=True)
def test_the_loop_s_own_questions_are_answered_by_no_canary(relay: Relay, settings: Any) -> None:
    engine = Engine("new")
    relay.routes.split(CanarySplit(uuid.UUID(int=4), 50))
    relay.routes.point_beside(engine, None, uuid.UUID(int=3))
    settings.POLICY_SERVER_HOST, settings.POLICY_SERVER_PORT = "127.0.0.1", relay.port
    for number in range(12):
        said = [{"role": "user", "content": f"Question {number}"}]
        stream = PolicyStream(said, temperature=1.0, top_p=1.0, seed=1)
        with suppress(PolicyUnavailable):  # this engine never says how an answer ended
            list(stream.pieces())
        assert stream.version == str(VERSION)
    assert engine.asked == []
    engine.shutdown()
    engine.server_close()


def test_a_user_who_is_no_text_is_refused(relay: Relay) -> None:
    with pytest.raises(openai.BadRequestError, match="user must be a text"):
        client_of(relay).chat.completions.create(
            model="policy", messages=HELLO, extra_body={"user": 17}
        )


def test_a_stream_cut_anywhere_is_the_same_stream() -> None:
    event = {"id": "x", "choices": [{"delta": {"content": "é\n"}}]}
    whole = f"data: {json.dumps(event, ensure_ascii=False)}\n\ndata: [DONE]\n\n".encode()
    for cut in range(len(whole)):
        kept: list[str] = []
        passed: list[bytes] = []
        for piece in KeptStream(iter([whole[:cut], whole[cut:]]), "ours", kept.append):
            passed.append(piece)
            done = b"[DONE]" in b"".join(passed)
            assert bool(kept) is done  # it is kept before anybody reads that it is done
        lines = b"".join(passed).split(b"\n")
        assert json.loads(lines[0][6:]) == {**event, "id": "ours"}
        assert lines[1:] == [b"", b"data: [DONE]", b"", b""]
        assert kept == ["é\n"]
    assert list(KeptStream(iter([whole[:-9]]), "ours", pytest.fail))


def test_a_stream_that_ends_as_transformers_serve_does_is_whole() -> None:
    word = {"choices": [{"delta": {"content": "Yes."}, "finish_reason": None}]}
    last = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": 1}}
    sent = [f"data: {json.dumps(event)}\n\n".encode() for event in (word, last)]
    kept: list[str] = []
    stream = iter(KeptStream(iter([*sent, b"data: [DONE]\n\n"]), "ours", kept.append))
    next(stream)
    assert not kept
    assert b"stop" in next(stream)
    assert kept == ["Yes."]
    assert len(list(stream)) == 1
    assert kept == ["Yes."]  # once


WRONG = [
    ({}, "completion_id is missing"),
    ({"completion_id": "c"}, "send one of thumb, edit, text and regenerated"),
    ({"completion_id": "c", "thumb": "sideways"}, 'thumb must be "up" or "down"'),
    ({"completion_id": "c", "thumb": 1}, "thumb must be a text"),
    ({"completion_id": "c", "regenerated": 1}, "regenerated must be true or false"),
    ({"completion_id": "c", "text": "a" * 20_001}, "text has 20001 characters; 20000 are the most"),
    ({"completion_id": "c", "user": "a" * 201, "thumb": "up"}, "user has 201 characters"),
    ({"completion_id": "c", "stars": 5}, "stars is no field of feedback"),
    ({"completion_id": "c", "text": "\x00"}, "readable texts"),
    ([], "JSON object"),
]


@pytest.mark.parametrize(("document", "says"), WRONG)
def test_what_is_wrong_is_named(document: Any, says: str) -> None:
    with pytest.raises(ApiError, match=says) as raised:
        feedback_request(json.dumps(document).encode())
    assert raised.value.status == 400
