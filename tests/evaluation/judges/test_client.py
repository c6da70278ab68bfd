"""One question: bounded in tries and time, with a key that goes to its host alone."""

from __future__ import annotations

import json
import time
from threading import Event, Timer

import pytest

from evaluation.judges import client
from evaluation.judges.client import (
    JudgeSilent,
    JudgeStopped,
    has_key,
    judge_asked,
    key_host,
    request_body,
)
from evaluation.judges.wording import judge_messages
from tests.evaluation.judges.conftest import judge_at
from tests.support.scripted_judge import rambling, said, scripted_judge

KEY = "sk-hidden-from-everybody"


def ask(settings, halt=None):
    turns = [{"role": "user", "content": "Why?"}]
    messages = judge_messages(turns, "a good one", "a bad one", rubric="")
    return judge_asked(settings, request_body(settings, messages), halt=halt or Event())


def test_a_question_is_what_openai_compatible_servers_take():
    with scripted_judge() as judge:
        reply = ask(judge_at(f"{judge.url}/", temperature=0.5, max_tokens=9))
    assert reply.text == said("A")
    assert reply.seconds > 0
    (asked,) = judge.asked
    assert asked.keys() == {"model", "messages", "temperature", "max_tokens"}
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("wise-1", 0.5, 9)
    assert judge.shown(0) == ("a good one", "a bad one")
    assert judge.keys == [""]


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_may_pass_is_tried_again_so_often_and_no_oftener(status):
    with scripted_judge(statuses=[status, status]) as judge:
        assert ask(judge_at(judge.url)).text == said("A")
        assert len(judge.asked) == 3
        judge.statuses = [status] * 3
        with pytest.raises(JudgeSilent, match=f"The judge answered {status}: not now"):
            ask(judge_at(judge.url))
    assert len(judge.asked) == 6


def test_the_wait_that_a_server_asks_for_is_kept_and_ends_with_the_asking():
    halt = Event()
    with scripted_judge(statuses=[429, 429], retry_after="30") as judge:
        Timer(0.2, halt.set).start()
        began = time.monotonic()
        with pytest.raises(JudgeSilent, match="429"):
            ask(judge_at(judge.url), halt)
    assert 0.1 < time.monotonic() - began < 25
    assert len(judge.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 301])
def test_what_no_further_question_would_change_ends_the_asking(status):
    with scripted_judge(statuses=[status]) as judge, pytest.raises(JudgeStopped, match=str(status)):
        ask(judge_at(judge.url))
    assert len(judge.asked) == 1


def test_a_question_that_is_refused_is_not_tried_again():
    with scripted_judge(statuses=[400]) as judge, pytest.raises(JudgeSilent, match="400"):
        ask(judge_at(judge.url))
    assert len(judge.asked) == 1


def test_a_judge_that_hangs_is_left_after_its_seconds():
    began = time.monotonic()
    with scripted_judge(delay=30) as judge, pytest.raises(JudgeSilent, match=r"within 0\.3 s"):
        ask(judge_at(judge.url, seconds=0.3, attempts=2))
    assert time.monotonic() - began < 25
    assert len(judge.asked) == 2


def test_nobody_at_the_port_is_silence():
    with scripted_judge() as judge:
        url = judge.url
    with pytest.raises(JudgeSilent, match="takes no connection"):
        ask(judge_at(url, attempts=1))


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"choices": []}', b'{"choices": [{"message": {}}]}',
     b'{"choices": [{"message": {"content": [1]}}]}', b'{"error": "no"}'],
)  # fmt: skip
def test_what_is_no_chat_completion_is_no_answer(body):
    with scripted_judge(body=body) as judge, pytest.raises(JudgeSilent, match="chat completion"):
        ask(judge_at(judge.url))


def test_an_answer_is_taken_as_it_comes():
    with scripted_judge(opinion=rambling) as judge:
        assert ask(judge_at(judge.url)).text == rambling("", "")
        judge.body = json.dumps({"choices": [{"message": {"content": None}}]}).encode()
        assert ask(judge_at(judge.url)).text == ""
        judge.body, judge.content = b"", "x" * 5_000 + "\0\n"
        assert ask(judge_at(judge.url)).text == "x" * 5_000 + "\n"


def test_the_site_reaches_inside_only_where_the_operator_allows_it(settings):
    settings.OUTERLOOP_OUTGOING_ALLOW = []
    with scripted_judge() as judge:
        with pytest.raises(JudgeStopped, match="OUTERLOOP_OUTGOING_ALLOW"):
            ask(judge_at(judge.url))
        settings.OUTERLOOP_OUTGOING_HTTP = False
        with pytest.raises(JudgeStopped, match="OUTERLOOP_OUTGOING_HTTP"):
            ask(judge_at(judge.url))
    assert judge.asked == []


def test_a_key_goes_to_the_host_beside_which_it_was_written(settings):
    with scripted_judge() as judge, scripted_judge() as other:
        settings.OUTERLOOP_JUDGE_KEYS = {f"127.0.0.1:{judge.port}": KEY}
        ask(judge_at(judge.url))
        ask(judge_at(other.url))
    assert (judge.keys, other.keys) == ([f"Bearer {KEY}"], [""])
    assert KEY not in json.dumps(judge.asked)


def test_a_key_that_the_server_sends_back_is_in_no_sentence(settings):
    with scripted_judge(statuses=[401]) as judge:
        settings.OUTERLOOP_JUDGE_KEYS = {f"127.0.0.1:{judge.port}": KEY}
        with pytest.raises(JudgeStopped, match=r"Bearer \(the key\)") as refused:
            ask(judge_at(judge.url))
    assert KEY not in str(refused.value)


def test_the_host_of_a_key(settings):
    assert key_host("https://api.example.com/v1") == "api.example.com"
    assert key_host("https://api.example.com:8443/v1") == "api.example.com:8443"
    settings.OUTERLOOP_JUDGE_KEYS = {"api.example.com": KEY}
    assert has_key("https://API.example.com/v1")
    assert not has_key("https://example.com/v1")
    settings.OUTERLOOP_OUTGOING_HTTP = False
    assert not has_key("http://api.example.com/v1")


def test_pauses_double(monkeypatch):
    waited = []

    class Halt:
        def wait(self, seconds):
            waited.append(seconds)
            return False

    monkeypatch.setattr(client, "PAUSE_SECONDS", 1.0)
    with scripted_judge(statuses=[500] * 4) as judge, pytest.raises(JudgeSilent):
        ask(judge_at(judge.url, attempts=4), Halt())
    assert waited == [1.0, 2.0, 4.0]
