"""The deployed policy as annotators hear it: several answers at once, and a sentence for each way to fall silent."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import pytest

from evaluation.gates.serving import streaming, voice
from evaluation.gates.serving.client import PolicyUnavailable
from tests.evaluation.gates.world import LineWorld
from tests.support.scripted_policy import ScriptedPolicy, scripted_policy
from tests.support.silent import silent_server
from web.voices import PolicySilent, Spoken, policy_asked

HELLO = [{"role": "user", "content": "Hello"}]


def by_the_seed(_messages: list[dict[str, str]], seed: int) -> Sequence[str]:
    return ["It ", "is ", f"{seed}."]


@pytest.fixture
def policy(world: LineWorld, settings: Any) -> Iterator[ScriptedPolicy]:
    deployment = world.deploy_first()
    with scripted_policy(settings, deployment.version_id, by_the_seed) as made:
        yield made


def heard(line: uuid.UUID, *seeds: int) -> list[Spoken]:
    return list(policy_asked(line_id=line, messages=HELLO, seeds=seeds))


def test_every_seed_has_its_answer_and_each_tells_who_wrote_it(world, policy):
    spoken = heard(world.line, 11, 12)
    for place, text in enumerate(("It is 11.", "It is 12.")):
        own = [each for each in spoken if each.place == place]
        assert "".join(each.text for each in own) == text
        by = own[-1].by
        assert by is not None
        assert (by.model_version, by.artifact_sha256) == (
            world.incumbent.id,
            world.incumbent.sha256,
        )
        # the relay knows no limits of a scripted engine: then it lets it write 1024 tokens
        assert by.sampling == {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": 1024}
        assert (by.ended, by.tokens) == (True, 3)
    assert sorted(body["seed"] for body in policy.engine.asked) == [11, 12]
    assert all(body["temperature"] == 1.0 for body in policy.engine.asked)


def test_an_answer_that_was_cut_off_is_told_as_such(world, policy):
    policy.engine.finish = "length"
    (by,) = [each.by for each in heard(world.line, 1) if each.by]
    assert not by.ended


def test_both_are_written_at_once(world, policy):
    policy.engine.pause = 0.2
    places = [each.place for each in heard(world.line, 1, 2) if each.text]
    assert places != sorted(places)


def test_a_server_without_a_policy_and_one_that_is_not_there_say_so(world, policy, settings):
    policy.down()
    with pytest.raises(PolicySilent, match=r"does not answer now\. What you wrote is kept"):
        heard(world.line, 1, 2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        settings.POLICY_SERVER_PORT = free.getsockname()[1]
    with pytest.raises(PolicySilent, match="does not answer now"):
        heard(world.line, 1)


def test_an_answer_that_breaks_off_is_none(world, policy):
    policy.engine.breaks_after = 2
    with pytest.raises(PolicySilent, match="does not answer now"):
        heard(world.line, 1)


def test_a_server_that_says_nothing_is_given_up(world, policy, settings, monkeypatch):
    monkeypatch.setattr(streaming, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(voice, "PULSE_SECONDS", 0.1)
    with silent_server() as port:
        settings.POLICY_SERVER_PORT = port
        spoken: list[Spoken] = []
        with pytest.raises(PolicySilent, match="took too long"):
            spoken.extend(policy_asked(line_id=world.line, messages=HELLO, seeds=[1]))


def test_a_slow_answer_gives_signs_of_life_and_ends_at_its_limit(world, policy, monkeypatch):
    monkeypatch.setattr(voice, "PULSE_SECONDS", 0.05)
    policy.engine.pause = 0.3
    assert Spoken() in heard(world.line, 1)
    monkeypatch.setattr(voice, "MOST_SECONDS", 0.2)
    with pytest.raises(PolicySilent, match="took too long"):
        heard(world.line, 1)


def test_who_stops_listening_ends_the_answers(world, policy):
    policy.engine.pause = 0.05
    policy.engine.script = lambda *_: ["word "] * 2000
    listening = policy_asked(line_id=world.line, messages=HELLO, seeds=[1])
    assert next(listening).text == "word "
    listening.close()
    relay, until = policy.relay, time.monotonic() + 10
    while relay.drain(policy.engine, 0.1) and time.monotonic() < until:
        pass
    assert relay.drain(policy.engine, 0.0) == 0


def test_another_line_s_policy_is_not_talked_to(world, policy):
    with pytest.raises(PolicySilent, match="serves another line's policy"):
        heard(uuid.uuid4(), 1)


def test_a_server_that_does_not_name_its_version_is_not_believed(world, policy):
    policy.relay.point(policy.engine)
    with pytest.raises(PolicySilent, match="does not answer now"):
        heard(world.line, 1)


def test_a_conversation_that_is_too_long_is_named(world, policy, monkeypatch):
    refusal = PolicyUnavailable("too long", code="context_length_exceeded")
    monkeypatch.setattr(streaming.PolicyStream, "pieces", mock.Mock(side_effect=refusal))
    with pytest.raises(PolicySilent, match="has grown too long for this policy"):
        heard(world.line, 1)
