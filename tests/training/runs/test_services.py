"""Ordering and cancelling runs, the registry, snapshots."""

from __future__ import annotations

import json
import uuid

import pytest

from annotation.comparisons.models import Completion
from annotation.contracts import SnapshotRecipe
from annotation.quality.services import exclusion_drawn, exclusion_lift, exclusion_make
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.support.people import person_create
from training import facade as training
from training.chat_templates import template_fix
from training.contracts import ContractError, InputRef, RunSpec
from training.digests import file_sha256
from training.runs.execution import run_execute
from training.runs.models import ModelVersion, Retention, Run, Snapshot

pytestmark = pytest.mark.django_db


def model_folder(path, content=b"weights"):
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(content)
    return path


def test_an_order_is_frozen_with_its_inputs_and_its_digest():
    line, inputs = uuid.uuid4(), {"prompts": InputRef("/data/prompts.jsonl", "a" * 64)}
    made = training.run_create(
        line_id=line, kind="ppo", seed=4, config={"updates": 2}, inputs=inputs
    )
    spec = RunSpec.from_json(made.spec)
    assert (made.state, made.attempts, made.artifacts) == ("pending", 0, ())
    assert spec == RunSpec(str(made.id), "ppo", 4, inputs, {"updates": 2})
    assert made.spec_sha256 == spec.sha256()
    assert training.runs_of_line(line) == [training.run_get(made.id)]


def test_an_order_of_an_unknown_kind_is_refused():
    with pytest.raises(ContractError, match=r"kind.*'rloo' is not one of"):
        training.run_create(line_id=uuid.uuid4(), kind="rloo", seed=1, config={}, inputs={})


def test_cancelling_a_waiting_run_ends_it_and_nobody_carries_it_out(order):
    run = order()
    training.run_cancel(run_id=run.id)
    assert training.run_get(run.id).state == "cancelled"
    with pytest.raises(training.RunCancelled, match="before it began"):
        run_execute(run_id=run.id, owner="w")
    assert not run.directory.exists()


def test_cancelling_a_running_run_asks_its_worker(order):
    run = order()
    Run.objects.filter(pk=run.id).update(state="running")
    training.run_cancel(run_id=run.id)
    run.refresh_from_db()
    assert run.state == "running"
    assert run.cancel_requested_at is not None


def test_cancelling_a_finished_run_changes_nothing(behave, order):
    run = order()
    done = run_execute(run_id=run.id, owner="w")
    training.run_cancel(run_id=run.id)
    training.run_take_up(run_id=run.id)
    assert training.run_get(run.id) == done


def test_taking_up_forgets_a_cancelling_that_nobody_carried_out(order):
    run = order()
    Run.objects.filter(pk=run.id).update(state="running")
    training.run_cancel(run_id=run.id)
    training.run_take_up(run_id=run.id)
    run.refresh_from_db()
    assert (run.state, run.cancel_requested_at) == ("running", None)


def test_versions_are_numbered_by_line_and_kind_and_entered_once(behave, order):
    first, other_line = order("reward_model"), order("reward_model")
    second = order("reward_model")
    Run.objects.filter(pk=second.id).update(line=first.line)
    for run in (first, second, other_line):
        run_execute(run_id=run.id, owner="w")

    def enter(run, artifact="reward_model"):
        return training.model_version_register(run_id=run.id, artifact=artifact, meta={"a": 1})

    one, again, two = enter(first), enter(first), enter(second)
    assert one == again
    assert (one.number, two.number, enter(other_line).number) == (1, 2, 1)
    assert (one.name, two.name) == ("reward model v1", "reward model v2")
    assert enter(first, "held_out_reward_model").number == 1
    made = ModelVersion.objects.filter(line=first.line, kind="reward_model")
    assert set(made.values_list("run", "id")) == {(first.id, one.id), (second.id, two.id)}
    training.model_version_verify(one.id)


def test_an_artifact_that_the_run_did_not_make_cannot_be_entered(behave, order):
    run = order()
    record = run_execute(run_id=run.id, owner="w")
    with pytest.raises(ContractError, match="no artifact 'reward_model'; it has: policy"):
        training.model_version_register(run_id=run.id, artifact="reward_model")
    with pytest.raises(LookupError, match="made no artifact 'samples'"):
        training.input_from_run(record, "samples")
    assert training.input_from_run(record, "policy").path == str(run.directory / "policy")


def test_an_imported_model_is_copied_hashed_and_stripped_of_code(tmp_path, store):
    source = model_folder(tmp_path / "mine")
    (source / "modeling_evil.py").write_text("raise SystemExit")
    (source / "pytorch_model.bin").write_bytes(b"pickle")
    (source / "model.safetensors").chmod(0o600)  # as libraries write weights
    line = uuid.uuid4()
    version = training.model_version_import(line_id=line, kind="policy", path=source, name="mine")
    folder = version.path.parent.stat().st_mode
    assert (version.path / "model.safetensors").stat().st_mode & 0o777 == folder & 0o666
    assert sorted(p.name for p in version.path.iterdir()) == ["config.json", "model.safetensors"]
    assert version.path.is_relative_to(store)
    assert (version.number, version.name, version.meta) == (
        1,
        "mine",
        {"imported_from": str(source)},
    )
    training.model_version_verify(version.id)
    (version.path / "model.safetensors").write_bytes(b"weights!")
    with pytest.raises(training.ArtifactMismatch, match=r"^mine: .*changed or damaged"):
        training.model_version_verify(version.id)


def test_the_template_of_an_imported_model_is_fixed_before_it_is_hashed(tmp_path, store):
    source = model_folder(tmp_path / "mine")
    template = "{{ enable_thinking }}{{ strftime_now('%Y') }}"
    (source / "chat_template.jinja").write_text(template)

    def imported(**settings):
        return training.model_version_import(
            line_id=uuid.uuid4(), kind="policy", path=source, name="mine",
            chat_template_kwargs=settings,
        )  # fmt: skip

    version = imported(enable_thinking=False)
    fixed = (version.path / "chat_template.jinja").read_text()
    assert fixed == template_fix(template, {"enable_thinking": False}) != template
    assert version.meta["chat_template_kwargs"] == {"enable_thinking": False}
    training.model_version_verify(version.id)
    assert (source / "chat_template.jinja").read_text() == template
    with pytest.raises(training.ArtifactMismatch, match="names 'thinking'"):
        imported(thinking=False)
    assert ModelVersion.objects.count() == len(list((store / "models").iterdir())) == 1


@pytest.mark.parametrize(
    ("missing", "words"),
    [("config.json", "holds no config.json"), ("model.safetensors", "Only safetensors are loaded")],
)
def test_a_folder_that_is_no_safe_model_is_refused(tmp_path, missing, words):
    source = model_folder(tmp_path / "mine")
    (source / missing).unlink()
    with pytest.raises(training.ArtifactMismatch, match=words):
        training.model_version_import(line_id=uuid.uuid4(), kind="policy", path=source, name="mine")
    assert not ModelVersion.objects.exists()


def test_a_version_is_retained_once_for_each_reason(tmp_path):
    source = model_folder(tmp_path / "mine")
    version = training.model_version_import(
        line_id=uuid.uuid4(), kind="policy", path=source, name="mine"
    )
    for reason in ("deployed", "deployed", "decided on"):
        training.model_version_retain(version_id=version.id, reason=reason)
    assert Retention.objects.filter(version=version.id).count() == 2


def labelled(values=(2, 4, 6)):
    campaign = a_campaign()
    some_pairs(campaign, len(values), split="train")
    rater = an_annotator(campaign)
    for value in values:
        label_next(rater, campaign, value)
    return campaign


def test_the_same_labels_give_the_same_snapshot(store):
    campaign = labelled()
    taken = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    again = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    assert again.id == taken.id == training.snapshot_get(taken.id).id
    assert taken.rows == 3
    assert taken.counts["ties"] == 1
    assert taken.counts["splits"] == {"train": 3}
    assert list(taken.counts["raters"].values()) == [3]
    assert taken.path.name == f"{taken.sha256}.jsonl"
    assert file_sha256(taken.path) == taken.sha256
    assert [p.name for p in taken.path.parent.iterdir()] == [taken.path.name]  # no leftovers
    rows = [json.loads(line) for line in taken.path.read_text().splitlines()]
    # Sides are drawn for each rater, so a strong preference may come out either way round.
    strengths = [row["strength"] for row in rows]
    assert (len(strengths), strengths.count(4)) == (3, 1)
    assert set(strengths) <= {2, 4, 6}


def test_a_snapshot_with_writers_counts_them_and_is_another():
    campaign = a_campaign()
    versions = (uuid.uuid4(), uuid.uuid4())
    some_pairs(campaign, 2, split="train", versions=versions)
    Completion.objects.update(sampling={"temperature": 1.0})
    label_next(an_annotator(campaign), campaign, 2)
    silent = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    said = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe(writers=True))
    assert said.counts["writers"] == dict.fromkeys(map(str, versions), 1)
    assert "writers" not in silent.counts
    assert said.sha256 != silent.sha256


def test_another_label_gives_another_snapshot():
    campaign = labelled()
    taken = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    some_pairs(campaign, 1, split="train")
    label_next(an_annotator(campaign), campaign, 1)
    later = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    assert (later.rows, later.sha256 == taken.sha256) == (4, False)
    assert {s.id for s in Snapshot.objects.all()} == {later.id, taken.id}


def test_what_a_lead_leaves_out_is_not_in_the_next_snapshot_and_the_old_one_stays_as_it_was():
    campaign = labelled()
    taken = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    some_pairs(campaign, 1, split="train")
    odd = an_annotator(campaign)
    label_next(odd, campaign, 1)
    lead = person_create("lea", "lead")
    drawn = exclusion_drawn(campaign=campaign, rater=odd)
    exclusion = exclusion_make(exclusion=drawn, reason="Always the first.", actor=lead)
    without = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    assert without.sha256 == taken.sha256 == file_sha256(taken.path)
    exclusion_lift(exclusion=exclusion, actor=lead)
    whole = training.snapshot_take(line_id=campaign.line, recipe=SnapshotRecipe())
    assert (whole.rows, whole.counts["raters"][odd.pseudonym]) == (4, 1)


def test_nothing_to_learn_from_is_said_and_leaves_no_file(store):
    with pytest.raises(training.EmptySnapshot, match="no labels to learn from"):
        training.snapshot_take(line_id=a_campaign().line, recipe=SnapshotRecipe())
    assert not Snapshot.objects.exists()
    assert list((store / "snapshots").iterdir()) == []
