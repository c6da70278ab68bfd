"""A model that is not there, not whole or not of one piece: one sentence, before anything is spent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.management import CommandError, call_command
from safetensors.torch import load_file, save_file

from outerloop.rounds.models import PolicyLine
from tests.support.documented import assert_said
from tests.support.ppo_runs import tiny_config
from tests.support.tiny_models import json_lines, tiny_policy, tiny_policy_artifact, write_spec
from training.contracts import SamplePairsConfig
from training.core.data.json_lines import prompts_read
from training.core.data.tokenizers import word_tokenizer_learn
from training.core.model.loading import classifier_load_path, policy_load_path
from training.core.rollout import preflight
from training.core.run.errors import UserError
from training.core.run.run_directory import recipe_main
from training.recipes import sample_pairs

WEIGHTS = "model.safetensors"
Spoil = Callable[[Path], Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_policy_artifact(tmp_path_factory.mktemp("whole") / "policy")


@pytest.fixture
def policy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "policy"))


def cut(path: Path) -> None:
    content = (path / WEIGHTS).read_bytes()
    (path / WEIGHTS).write_bytes(content[:-100])


def cut_in_header(path: Path) -> None:
    (path / WEIGHTS).write_bytes((path / WEIGHTS).read_bytes()[:60])


def scribble_header(path: Path) -> None:
    content = bytearray((path / WEIGHTS).read_bytes())
    content[10:30] = b"#" * 20
    (path / WEIGHTS).write_bytes(content)


def append(path: Path) -> None:
    with (path / WEIGHTS).open("ab") as file:
        file.write(b"more")


def pickle(path: Path) -> None:
    torch.save(load_file(path / WEIGHTS), path / "pytorch_model.bin")
    (path / WEIGHTS).unlink()


def drop_a_weight(path: Path) -> None:
    weights = load_file(path / WEIGHTS)
    del weights["model.norm.weight"]
    save_file(weights, path / WEIGHTS, metadata={"format": "pt"})


def more_words(path: Path) -> None:
    word_tokenizer_learn(
        [f"word{chr(97 + n % 26)}{n}" for n in range(900)], limit=900
    ).save_pretrained(path)


def no_template(path: Path) -> None:
    tokenizer = tiny_policy().tokenizer
    tokenizer.chat_template = None
    shutil.rmtree(path / "chat_templates", ignore_errors=True)
    (path / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(path)


def file_instead(path: Path) -> None:
    shutil.rmtree(path)
    path.write_text("x")


SPOILT: list[tuple[str, Spoil]] = [
    ("no such folder", shutil.rmtree),
    ("a file for a folder", file_instead),
    ("no config", lambda path: (path / "config.json").unlink()),
    ("broken config", lambda path: (path / "config.json").write_text("{")),
    ("pickled weights", pickle),
    ("no weights", lambda path: (path / WEIGHTS).unlink()),
    ("weights cut short", cut),
    ("weights damaged", scribble_header),
    ("weights damaged", append),
]
LOADED: list[tuple[str, Spoil]] = [
    ("weights missing", drop_a_weight),
    ("no tokenizer", lambda path: (path / "tokenizer.json").write_text("{")),
    ("vocabulary of another model", more_words),
    ("no chat template", no_template),
]


@pytest.mark.parametrize(("case", "spoil"), [*SPOILT, *LOADED])
def test_a_policy_that_cannot_be_used_is_refused_in_one_sentence(policy, case, spoil):
    spoil(policy)
    with pytest.raises(UserError) as refusal:
        policy_load_path(policy)
    assert_said(case, str(refusal.value))
    assert "\n" not in str(refusal.value)


def test_a_header_cut_in_the_middle_is_no_whole_file(policy):
    cut_in_header(policy)
    with pytest.raises(UserError, match="is cut short or no safetensors file"):
        policy_load_path(policy)


def test_a_reward_model_is_looked_at_as_closely(policy):
    cut(policy)
    with pytest.raises(UserError) as refusal:
        classifier_load_path(policy)
    assert_said("weights cut short", str(refusal.value))


@pytest.mark.django_db
@pytest.mark.parametrize(("case", "spoil"), SPOILT)
def test_a_line_is_not_made_on_a_model_that_is_not_whole(policy, case, spoil, settings, tmp_path):
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    spoil(policy)
    with pytest.raises(CommandError) as refusal:
        call_command("create_line", "Help desk", base=policy)
    assert_said(case, str(refusal.value))
    assert not PolicyLine.objects.exists()
    assert not settings.ARTIFACT_ROOT.exists()


def test_a_learning_program_ends_with_the_sentence_and_status_2(policy, tmp_path, capsys):
    cut(policy)
    rows = [{"id": "p", "messages": [{"role": "user", "content": "How?"}], "group": "g"}]
    inputs = {"policy": policy, "prompts": json_lines(tmp_path / "prompts.jsonl", rows)}
    spec = write_spec(tmp_path / "run", "sample_pairs", {}, inputs)
    code = recipe_main(sample_pairs.main, "sample_pairs", SamplePairsConfig, [str(spec)])
    assert code == 2
    said = json.loads((spec.parent / "error.json").read_text())["message"]
    assert_said("weights cut short", said)
    assert_said("weights cut short", capsys.readouterr().err)


def test_an_input_that_changed_since_it_was_ordered_is_named(policy, tmp_path):
    spec = write_spec(tmp_path / "run", "sample_pairs", {}, {"policy": policy})
    append(policy)
    assert recipe_main(sample_pairs.main, "sample_pairs", SamplePairsConfig, [str(spec)]) == 2
    said = json.loads((spec.parent / "error.json").read_text())["message"]
    assert_said("run input, changed", said)


def test_a_tokenizer_without_pad_gets_one_of_its_own(policy):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (policy / name).exists():
            document = json.loads((policy / name).read_text())
            document.pop("pad_token", None)
            (policy / name).write_text(json.dumps(document))
    loaded = policy_load_path(policy)
    assert loaded.pad_id not in loaded.end_ids
    assert loaded.model.get_input_embeddings().num_embeddings > loaded.pad_id


def test_a_policy_that_pads_with_its_end_is_refused_before_training():
    policy = tiny_policy()
    policy.tokenizer.pad_token = policy.tokenizer.eos_token
    with pytest.raises(UserError) as refusal:
        preflight.check_tokens(policy)
    assert_said("PAD is the end token", str(refusal.value))


def test_a_reference_of_another_vocabulary_is_refused():
    policy, reference = tiny_policy(), tiny_policy()
    reference.tokenizer.add_tokens(["<|new|>"])
    with pytest.raises(UserError) as refusal:
        preflight.check_vocabularies(policy, reference)
    assert_said("policy and reference differ", str(refusal.value))


@pytest.mark.parametrize(
    ("case", "lengths"), [("prompts too long", [4, 200]), ("prompt over the context", [4, 60])]
)
def test_prompts_that_do_not_fit_are_counted_and_named(case, lengths):
    from tests.support.ppo_runs import tiny_policy as small

    with pytest.raises(UserError) as refusal:
        preflight.check_prompts(lengths, ["a", "b"], tiny_config(), small().model)
    assert_said(case, str(refusal.value))


DATA: list[tuple[str, str, bytes | None]] = [
    ("run input, broken gzip", "p.jsonl.gz", b"\x1f\x8b\x08rubbish"),
    ("run input, not UTF-8", "p.jsonl", b'{"id": "caf\xe9"}\n'),
    ("run input, missing", "p.jsonl", None),
    ("run input, missing", "p.jsonl.gz", None),
    ("run input, no rows", "p.jsonl", b"\n"),
]


@pytest.mark.parametrize(("case", "name", "content"), DATA)
def test_a_file_that_a_program_reads_is_refused_by_name(case, name, content, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as refusal:
        prompts_read(tmp_path / name)
    assert_said(case, str(refusal.value))
