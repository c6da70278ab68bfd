"""A push to a model hub by the hub's own library, against a hub on this machine."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from outerloop.publishing.hub import HubPush
from outerloop.publishing.watching import PushWatch
from tests.support.hub_stand_in import TOKEN, Hub
from web.jobs import JobCancelled, JobFailed

CARD = "---\nlibrary_name: transformers\n---\n\n# policy v7\n"
WEIGHTS = bytes(range(256)) * 4_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "model"
    (place / "tokenizer").mkdir(parents=True)
    (place / "config.json").write_text('{"model_type": "llama"}')
    (place / "model.safetensors").write_bytes(WEIGHTS)
    (place / "tokenizer" / "vocab.txt").write_text("a\nb\n")
    (place / "README.md").write_text("what the base model said of itself")
    return place


def push(folder: Path, **changes: Any) -> HubPush:
    said = {"name": "team/policy", "private": True, "card": CARD, "title": "policy v7"}
    return HubPush(**{**said, **changes}, folder=folder)


def test_the_files_and_the_card_arrive_in_one_commit(the_hub: Hub, folder: Path) -> None:
    watch = PushWatch()
    commit = push(folder).sent(watch)
    repository = the_hub.repositories["team/policy"]
    assert repository.private
    assert repository.commits == [commit]
    assert repository.files == {
        "README.md": CARD.encode(),
        "config.json": b'{"model_type": "llama"}',
        "model.safetensors": WEIGHTS,
        "tokenizer/vocab.txt": b"a\nb\n",
    }
    assert watch.done == len(WEIGHTS) + 23 + 4
    assert the_hub.tokens_at_storage == [""]  # storage gets no token


def test_a_large_file_goes_in_parts_where_the_hub_says_so(the_hub: Hub, folder: Path) -> None:
    the_hub.part_bytes = 400_000
    push(folder).sent(PushWatch())
    assert the_hub.puts == [400_000, 400_000, 224_000]
    assert the_hub.repositories["team/policy"].files["model.safetensors"] == WEIGHTS


def test_a_second_push_of_the_same_sends_nothing_and_commits_nothing(
    the_hub: Hub, folder: Path
) -> None:
    first = push(folder).sent(PushWatch())
    assert push(folder).sent(PushWatch()) == first
    assert len(the_hub.puts) == 1
    push(folder, card=CARD + "More.\n").sent(PushWatch())
    repository = the_hub.repositories["team/policy"]
    assert (len(repository.commits), len(the_hub.puts)) == (2, 1)
    assert repository.files["README.md"].endswith(b"More.\n")


def test_a_stopped_push_ends_between_two_pieces_and_commits_nothing(
    the_hub: Hub, folder: Path
) -> None:
    watch = PushWatch()
    the_hub.on_put = watch.stopped.set
    (folder / "model.safetensors").write_bytes(bytes(32_000_000))  # more than sockets hold
    with pytest.raises(JobCancelled):
        push(folder).sent(watch)
    assert not the_hub.repositories["team/policy"].commits
    assert watch.done < 32_000_000


def test_a_wrong_token_is_said_in_a_sentence_without_it(
    the_hub: Hub, folder: Path, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OUTERLOOP_HUB_TOKEN = "hf_an-old-one"
    with caplog.at_level(logging.DEBUG), pytest.raises(JobFailed) as refused:
        push(folder).sent(PushWatch())
    assert "does not take the token of OUTERLOOP_HUB_TOKEN" in str(refused.value)
    assert "hf_an-old-one" not in str(refused.value) + caplog.text


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (403, "may not write to team/policy"),
        (307, "redirects are not followed"),
        (418, "answered 418 about team/policy: Invalid username or password."),
    ],
)
def test_what_a_hub_refuses_is_said_in_a_sentence(
    the_hub: Hub, folder: Path, status: int, says: str
) -> None:
    the_hub.status = status
    the_hub.location = "http://169.254.169.254/" if status == 307 else ""
    with pytest.raises(JobFailed, match=says):
        push(folder).sent(PushWatch())


def test_neither_token_nor_signed_address_is_written_to_a_log(
    the_hub: Hub, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        push(folder).sent(PushWatch())
    assert TOKEN not in caplog.text
    assert "Signature" not in caplog.text


def test_storage_inside_is_refused_as_every_address_is(
    the_hub: Hub, folder: Path, settings: Any
) -> None:
    """A hub may name any address for large files; one that the operator did not allow is not asked."""
    the_hub.storage = "http://10.1.2.3:9000"
    with pytest.raises(JobFailed, match=r"10\.1\.2\.3, which is no public address"):
        push(folder).sent(PushWatch())
    settings.OUTERLOOP_OUTGOING_ALLOW = []
    with pytest.raises(JobFailed, match=r"127\.0\.0\.1, which is no public address"):
        push(folder).sent(PushWatch())
    settings.OUTERLOOP_OUTGOING_HTTP = False
    with pytest.raises(JobFailed, match="OUTERLOOP_OUTGOING_HTTP"):
        push(folder).sent(PushWatch())


def test_a_hub_that_is_away_is_said_in_a_sentence(
    the_hub: Hub, folder: Path, settings: Any
) -> None:
    settings.OUTERLOOP_HUB = "http://127.0.0.1:1025"
    with pytest.raises(JobFailed, match=r"The hub was not reached: 127\.0\.0\.1 takes no conn"):
        push(folder).sent(PushWatch())
