"""A plan takes pretrained models from folders that an operator has allowed, and what it takes is recorded."""

from __future__ import annotations

import uuid

import pytest

from training.contracts import ContractError, InputRef
from training.digests import path_sha256
from training.runs import sources
from training.runs.inventory import input_path, order_path, store_path
from training.runs.models import Run
from training.runs.services import input_from_path, run_create
from training.runs.sources import sources_check

pytestmark = pytest.mark.django_db


@pytest.fixture
def allowed(settings, tmp_path):
    folder = tmp_path / "models"
    (folder / "encoder").mkdir(parents=True)
    (folder / "encoder" / "config.json").write_text("{}")
    settings.OUTERLOOP_MODEL_FOLDERS = [str(folder)]
    return folder


def config(name):
    return {"backbone": {"kind": "pretrained", "name": str(name)}, "epochs": 1}


def order(name, **more):
    made = run_create(
        line_id=uuid.uuid4(), kind="reward_model", seed=1, config=config(name), inputs={}, **more
    )
    return Run.objects.get(pk=made.id)


def test_a_model_of_an_allowed_folder_is_an_input_with_its_digest(allowed):
    spec = order(allowed / "encoder").spec
    reference = spec["inputs"]["pretrained_0"]
    assert reference == {
        "path": str(allowed / "encoder"), "sha256": path_sha256(allowed / "encoder"),
    }  # fmt: skip
    assert spec["config"]["backbone"]["kind"] == "input"
    assert spec["config"]["backbone"]["name"] == "pretrained_0"


@pytest.mark.parametrize(
    "name",
    ["/etc", "models/../../etc", "./outerloop", "outerloop/rounds", "~/models", "/nowhere/at/all"],
)
def test_another_folder_is_refused_before_anything_is_read(allowed, name):
    with pytest.raises(ContractError, match="OUTERLOOP_MODEL_FOLDERS"):
        order(name)
    assert not Run.objects.exists()


def test_a_link_out_of_an_allowed_folder_is_refused(allowed, tmp_path):
    (tmp_path / "secret").mkdir()
    (allowed / "link").symlink_to(tmp_path / "secret")
    for name in (allowed / "link", allowed / "encoder" / ".." / ".." / "secret"):
        with pytest.raises(ContractError, match="OUTERLOOP_MODEL_FOLDERS"):
            sources_check(config(name))


def test_a_model_that_is_not_there_is_said(allowed):
    with pytest.raises(ContractError, match="is not there"):
        sources_check(config(allowed / "decoder"))


@pytest.mark.parametrize("name", ["gpt2", "bert-base-uncased", "some-lab/some-model"])
def test_a_name_on_a_hub_stays_one(allowed, name):
    assert order(name).spec["config"]["backbone"] == {"kind": "pretrained", "name": name}


def test_an_operator_at_the_terminal_may_name_any_folder_and_it_is_hashed(settings, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "config.json").write_text("{}")
    spec = order(tmp_path / "own", models_anywhere=True).spec
    assert spec["inputs"]["pretrained_0"]["sha256"] == path_sha256(tmp_path / "own")


def test_an_order_names_what_lies_in_the_store_relative_to_it(store, settings, tmp_path):
    (store / "snapshots").mkdir(parents=True)
    file = store / "snapshots" / "one.jsonl"
    file.write_text("{}")
    made = run_create(
        line_id=uuid.uuid4(), kind="reward_model", seed=1, config={},
        inputs={"preferences": input_from_path(file)},
    )  # fmt: skip
    reference = Run.objects.get(pk=made.id).spec["inputs"]["preferences"]
    assert reference["path"] == "snapshots/one.jsonl"
    settings.ARTIFACT_ROOT = store.rename(tmp_path / "mounted elsewhere")
    assert input_path(reference["path"]).read_text() == "{}"
    assert store_path(reference["path"]) == "snapshots/one.jsonl"
    assert store_path(str(file)) == "snapshots/one.jsonl"  # as earlier releases wrote it
    assert order_path("/data/elsewhere.jsonl") == "/data/elsewhere.jsonl"


def test_a_folder_is_hashed_once_under_a_name_of_its_own(allowed, monkeypatch):
    """Whatever names the inputs have, and by whatever path the same folder is named twice."""
    hashed, beats = [], []

    def digest(path, *, beat):
        hashed.append(path)
        return path_sha256(path, beat=beat)

    monkeypatch.setattr(sources, "path_sha256", digest)
    (allowed / "other").mkdir()
    (allowed / "other" / "config.json").write_text("[]")
    kept = InputRef(path="prompts.jsonl", sha256="0" * 64)
    made, inputs = sources.sources_as_inputs(
        {
            "policy": config(allowed / "encoder"),
            "value": [config(allowed / "other"), config(allowed / "other" / ".." / "encoder")],
        },
        {"pretrained_1": kept, "prompts": kept},
        beat=lambda: beats.append(1),
    )
    assert hashed == [allowed / "encoder", allowed / "other"]
    assert len(beats) == 2  # each folder has one file
    assert inputs == {
        "pretrained_1": kept,
        "prompts": kept,
        "pretrained_0": InputRef(str(allowed / "encoder"), path_sha256(allowed / "encoder")),
        "pretrained_2": InputRef(str(allowed / "other"), path_sha256(allowed / "other")),
    }
    names = [each["backbone"]["name"] for each in (made["policy"], *made["value"])]
    assert names == ["pretrained_0", "pretrained_2", "pretrained_0"]
    # What was hashed before is taken as it is.
    again = sources.sources_as_inputs(made, inputs)
    assert (again, len(hashed)) == ((made, inputs), 2)


@pytest.mark.parametrize("setting", ["reward_function", "verifier"])
def test_a_function_comes_from_a_listed_module_only(settings, setting):
    settings.OUTERLOOP_REWARD_MODULES = ["lab.rewards"]
    for function in ("lab.rewards:short", "lab.rewards.sums:right"):
        sources_check({"policy": {setting: function}})
    for function in ("os:system", "lab:short", "lab.rewardsx:short", "lab.rewards_of_others:short"):
        with pytest.raises(ContractError, match=f"(?s){setting} .*OUTERLOOP_REWARD_MODULES"):
            run_create(
                line_id=uuid.uuid4(), kind="ppo", seed=1, config={setting: function}, inputs={}
            )
    assert not Run.objects.exists()
    sources_check({"policy": {setting: ""}})


def test_no_function_is_taken_where_no_module_is_listed(settings):
    assert settings.OUTERLOOP_REWARD_MODULES == []
    with pytest.raises(ContractError, match="lies in no allowed module"):
        sources_check({"policy": {"verifier": "json:loads"}})
