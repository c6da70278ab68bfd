"""A base policy that was ordered on a page: checked, copied, deployed, by one worker."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from evaluation import facade as evaluation
from outerloop.rounds import bases, tasks
from outerloop.rounds.bases import base_order, base_take
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.models import BaseOrder, BaseState
from outerloop.rounds.plan import RoundPlan
from outerloop.rounds.services import line_base_set
from tests.outerloop.rounds.world import bare_line, known, model_folder, policy_import
from tests.support.recipe_processes import forked_call
from training import facade as training
from training.contracts import PpoConfig, Sampling
from training.runs.models import ModelVersion
from web.models import AuditEvent

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings, tmp_path) -> Path:
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path / "models")]
    return model_folder(tmp_path / "models" / "base")


@pytest.fixture
def fits(monkeypatch):
    """The check as it goes where a model fits, told of the folder and the length."""
    asked = []

    def check(folder, *, length, beat):
        asked.append((folder, length))
        beat()
        return "ok   model: it fits"

    monkeypatch.setattr(training, "model_check", check)
    return asked


def ordered(folder: Path, line=None) -> BaseOrder:
    return base_order(line=line or bare_line(), folder=str(folder), actor="somebody")


@pytest.mark.slow
def test_a_folder_becomes_the_deployed_base_policy_after_the_real_check(settings, tmp_path) -> None:
    settings.OUTERLOOP_MODEL_FOLDERS = [str(tmp_path)]
    short = RoundPlan(policy=PpoConfig(max_prompt_tokens=32, sampling=Sampling(max_new_tokens=16)))
    forked_call("tests.support.own_models", "decoder_write", tmp_path / "llama", "llama")
    order = ordered(tmp_path / "llama", bare_line(plan=short))
    base_take(order.pk)
    order.refresh_from_db()
    assert (order.state, order.error) == (BaseState.DONE, "")
    assert "ok   chat template" in order.said
    order.line.refresh_from_db()
    version = training.model_version_get(known(order.line.base_version))
    assert (version.name, version.line_id) == ("base policy", order.line_id)
    assert evaluation.deployed_version(order.line_id) == version.id
    assert AuditEvent.objects.filter(verb="ordered base policy", line=order.line_id).exists()


def test_a_registered_policy_of_another_line_is_copied(fits, tmp_path) -> None:
    policy = policy_import(bare_line().id, tmp_path, "policy v3")
    order = base_order(line=bare_line(), version_id=policy.id, actor="somebody")
    base_take(order.pk)
    order.line.refresh_from_db()
    version = training.model_version_get(known(order.line.base_version))
    assert version.id != policy.id
    assert version.sha256 == policy.sha256
    assert fits == [(policy.path, 128 + 48)]  # the plan's longest prompt and reply


@pytest.mark.parametrize("begun", [False, True])
def test_a_model_that_does_not_fit_leaves_a_sentence_and_no_version(
    folder, monkeypatch, begun
) -> None:
    def check(folder, *, length, beat):
        raise training.ModelUnfit("length: too long")

    if begun:
        (folder / "model.safetensors").unlink()
    monkeypatch.setattr(training, "model_check", check)
    order = ordered(folder)
    base_take(order.pk)
    order.refresh_from_db()
    assert order.state == BaseState.FAILED
    assert ("safetensors" if begun else "too long") in order.error
    assert not ModelVersion.objects.exists()
    assert ordered(folder, order.line).state == BaseState.QUEUED  # another may be asked for


def test_a_folder_that_is_allowed_no_more_is_refused_when_it_is_taken(folder, fits, settings):
    order = ordered(folder)
    settings.OUTERLOOP_MODEL_FOLDERS = []
    base_take(order.pk)
    order.refresh_from_db()
    assert "lies in no allowed folder" in order.error
    assert not fits


def test_a_line_has_one_order_and_one_base(folder, fits) -> None:
    order = ordered(folder)
    with pytest.raises(RoundRefused, match="under way already"):
        ordered(folder, order.line)
    base_take(order.pk)
    order.line.refresh_from_db()
    with pytest.raises(RoundRefused, match="has its base policy already"):
        ordered(folder, order.line)


def test_a_base_that_came_meanwhile_is_kept(folder, fits, tmp_path, monkeypatch) -> None:
    order = ordered(folder)
    other = policy_import(order.line_id, tmp_path, "by command")

    def check(folder, *, length, beat):
        line_base_set(line=order.line, version_id=other.id, actor="command")
        return ""

    monkeypatch.setattr(training, "model_check", check)
    base_take(order.pk)
    order.refresh_from_db()
    assert "another base policy meanwhile" in order.error
    assert evaluation.deployed_version(order.line_id) == other.id


def test_a_worker_that_lost_the_order_changes_nothing(folder, monkeypatch, settings) -> None:
    settings.OUTERLOOP_HEARTBEAT_SECONDS = 0
    order = ordered(folder)

    def check(folder, *, length, beat):
        BaseOrder.objects.filter(pk=order.pk).update(fence=9)  # another worker took it over
        beat()
        return ""

    monkeypatch.setattr(training, "model_check", check)
    base_take(order.pk)
    order.refresh_from_db()
    assert (order.state, order.error, order.fence) == (BaseState.CHECKING, "", 9)
    assert not ModelVersion.objects.exists()


def test_an_order_that_is_held_is_left_alone_and_one_whose_worker_died_is_swept(
    folder, fits, sent
) -> None:
    order = ordered(folder)
    assert bases.orders_free() == [order.pk]
    later = timezone.now() + timedelta(minutes=1)
    BaseOrder.objects.filter(pk=order.pk).update(state="checking", lease_expires_at=later)
    base_take(order.pk)
    assert bases.orders_free() == []
    assert not fits
    BaseOrder.objects.filter(pk=order.pk).update(lease_expires_at=timezone.now())
    tasks.sweep()
    assert (str(order.pk), "gpu") in sent
    base_take(order.pk)
    order.refresh_from_db()
    assert order.state == BaseState.DONE


def test_an_unexpected_error_ends_the_order_and_reaches_the_log(folder, monkeypatch) -> None:
    def check(folder, *, length, beat):
        raise ZeroDivisionError

    monkeypatch.setattr(training, "model_check", check)
    order = ordered(folder)
    with pytest.raises(ZeroDivisionError):
        base_take(order.pk)
    order.refresh_from_db()
    assert (order.state, order.error) == (
        BaseState.FAILED,
        "An unexpected error ended this; see the worker's log.",
    )
