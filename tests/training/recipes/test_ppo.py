"""The PPO recipe from spec to manifest, on a policy of some 30,000 parameters."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.support import ppo_runs
from tests.support.scripted_ppo import cut_and_resume
from training.contracts import (
    EXIT_CANCELLED,
    EXIT_ERROR,
    EXIT_USER,
    KlControl,
    RunManifest,
    Sampling,
)
from training.digests import artifact_verify
from training.recipes import ppo
from training.recipes.ppo_parts import PpoProgress

ROW = {
    *("reward_train", "reward_held_out", "ensemble_std", "kl_k1", "kl_k3", "kl_exact", "entropy"),
    *("response_length", "eos_rate", "distinct_2", "repetition", "clip_fraction", "approx_kl"),
    *("value_explained_variance", "policy_loss", "value_loss", "grad_norm", "beta", "seconds"),
    *("learning_rate", "tokens_per_second_rollout", "tokens_per_second_score"),
    "tokens_per_second_train",
}

CONTROL: dict[str, Any] = {
    "updates": 8,
    "prompts_per_update": 64,
    "micro_batch_size": 32,
    "policy_learning_rate": 1e-2,
    "value_learning_rate": 1e-2,
    "missing_eos_penalty": 0.0,
    "reward_function": "tests.support.ppo_runs:vowels",
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("inputs")
    policy = ppo_runs.write_policy(root / "policy")
    prompts = ppo_runs.write_prompts(root / "prompts.jsonl")
    return {"policy": policy, "reference": policy, "prompts": prompts}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def run(directory: Path, inputs: dict[str, Path], *, seed: int = 7, **changes: Any) -> int:
    spec = directory / "spec.json"
    if not spec.exists():
        ppo_runs.write_order(directory, ppo_runs.tiny_config(**changes), inputs, seed=seed)
    return ppo.main([str(spec)])


def manifest(directory: Path) -> RunManifest:
    return RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))


def message(directory: Path) -> str:
    return str(json.loads((directory / "error.json").read_text())["message"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, inputs: dict[str, Path]) -> Path:
    directory = tmp_path_factory.mktemp("undisturbed") / "run"
    torch.set_num_threads(1)
    assert run(directory, inputs, updates=4) == 0
    return directory


def test_a_run_leaves_a_policy_that_loads_and_stops_at_its_end_token(undisturbed: Path) -> None:
    artifact = manifest(undisturbed).artifact("policy")
    assert artifact.kind == "policy"
    assert artifact_verify(undisturbed / artifact.path) == artifact.sha256
    model = AutoModelForCausalLM.from_pretrained(undisturbed / "policy")
    tokenizer = AutoTokenizer.from_pretrained(undisturbed / "policy")
    settings = model.generation_config
    assert tokenizer.chat_template
    assert settings.do_sample
    assert settings.top_k == 0
    assert settings.top_p == 1.0
    assert settings.eos_token_id == [tokenizer.convert_tokens_to_ids("<|end|>")]
    assert settings.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_every_update_logs_its_whole_row(undisturbed: Path) -> None:
    rows = ppo_runs.events(undisturbed, "ppo")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    for row in rows:
        assert row["metrics"].keys() >= ROW
        missing = {name for name, value in row["metrics"].items() if value is None}
        assert missing == {"reward_held_out", "reward_held_out_raw"}  # no such model was given


def test_the_first_row_shows_a_policy_that_is_its_reference(undisturbed: Path) -> None:
    first, *_, last = ppo_runs.events(undisturbed, "ppo")
    for name in ("kl_k1", "kl_k3", "kl_exact"):
        assert first["metrics"][name] == 0.0
    assert last["metrics"]["kl_exact"] > 1e-4


def test_the_final_row_describes_the_policy_that_is_kept(undisturbed: Path) -> None:
    (final,) = ppo_runs.events(undisturbed, "final")
    results = manifest(undisturbed).results
    assert results["final"] == final["metrics"]
    assert results["updates"] == results["updates_run"] == 4
    assert results["optimizer_steps"] == 4 * 2 * 2  # updates x epochs x mini-batches
    assert results["stopped_by"] == "updates"
    assert results["sampling"]["top_k"] == 0
    assert results["sampling"]["top_p"] == 1.0


def test_the_learning_rate_warms_up_linearly_to_its_full_value(undisturbed: Path) -> None:
    rates = [row["metrics"]["learning_rate"] for row in ppo_runs.events(undisturbed, "ppo")]
    assert rates == pytest.approx([3e-4] * 4)  # one warm-up update: full at its last step


def test_samples_show_prompt_text_and_scores(undisturbed: Path) -> None:
    lines = (undisturbed / "samples.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert sorted({row["update"] for row in rows}) == [0, 2, 4]
    for row in rows:
        text, words = row["text"], row["messages"]
        assert row["reward_train"] == ppo_runs.mention_blue(words, text)
        assert row["reward_held_out"] is None


def test_checkpoints_are_gone_once_the_run_is_finished(undisturbed: Path) -> None:
    assert not (undisturbed / "checkpoints").exists()


# ------------------------------------------------------------------------- resume


@pytest.mark.parametrize("crash_at", [0, 2, 3])
def test_a_run_that_crashed_ends_with_the_same_bytes(
    tmp_path: Path,
    inputs: dict[str, Path],
    undisturbed: Path,
    monkeypatch: pytest.MonkeyPatch,
    crash_at: int,
) -> None:
    ppo_update = ppo.ppo_update

    def failing(parts: Any, progress: Any, rollout: Any, update: int) -> Any:
        result = ppo_update(parts, progress, rollout, update)
        if update == crash_at:  # weights and moments have moved, nothing is saved
            raise RuntimeError("power cut")
        return result

    monkeypatch.setattr(ppo, "ppo_update", failing)
    assert run(tmp_path / "run", inputs, updates=4) == EXIT_ERROR
    monkeypatch.setattr(ppo, "ppo_update", ppo_update)
    assert run(tmp_path / "run", inputs) == 0
    for name in ("policy", "ppo_samples"):
        again = manifest(tmp_path / "run").artifact(name).sha256
        assert again == manifest(undisturbed).artifact(name).sha256
    assert manifest(tmp_path / "run").results["final"] == manifest(undisturbed).results["final"]


def test_sparse_checkpoints_resume_to_the_same_bytes_with_budget_and_adaptive_control(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, Any] = {
        "updates": 5,
        "checkpoint_every": 2,
        "shared_backbone": True,
        "kl": KlControl(kind="adaptive", target=0.1, horizon=100, budget=50.0),
    }
    assert run(tmp_path / "whole", inputs, **changes) == 0
    cut_and_resume(monkeypatch, lambda: run(tmp_path / "cut", inputs, **changes), at=3)
    (resumed,) = ppo_runs.events(tmp_path / "cut", "resume")
    assert resumed["step"] == 2
    whole, cut = manifest(tmp_path / "whole"), manifest(tmp_path / "cut")
    assert cut.artifact("policy").sha256 == whole.artifact("policy").sha256
    assert cut.results["beta"] == whole.results["beta"] != 0.07


def test_a_cancelled_run_saves_and_can_go_on(
    tmp_path: Path, inputs: dict[str, Path], undisturbed: Path
) -> None:
    ppo_runs.write_order(tmp_path / "run", ppo_runs.tiny_config(updates=4), inputs)
    (tmp_path / "run" / "cancel").touch()
    assert run(tmp_path / "run", inputs) == EXIT_CANCELLED
    assert len(ppo_runs.events(tmp_path / "run", "ppo")) == 1
    (tmp_path / "run" / "cancel").unlink()
    assert run(tmp_path / "run", inputs) == 0
    again = manifest(tmp_path / "run").artifact("policy").sha256
    assert again == manifest(undisturbed).artifact("policy").sha256


# ------------------------------------------------------------------------ control


def test_a_known_reward_rises(tmp_path: Path, inputs: dict[str, Path]) -> None:
    gains = []
    for seed in (1, 2, 3):
        run(
            tmp_path / str(seed),
            inputs,
            seed=seed,
            kl=KlControl(beta=0.005),
            **CONTROL,
        )
        first = ppo_runs.events(tmp_path / str(seed), "ppo")[0]["metrics"]["reward_train"]
        gains.append(manifest(tmp_path / str(seed)).results["final"]["reward_train"] - first)
    low, _ = stats.t.interval(0.95, 2, loc=np.mean(gains), scale=stats.sem(gains))
    assert low > 0, gains


def test_a_run_over_its_kl_budget_keeps_the_last_policy_under_it(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    changes: dict[str, Any] = {"updates": 12, "policy_learning_rate": 3e-3, "evaluate_every": 1}
    run(tmp_path / "run", inputs, kl=KlControl(beta=0.0, budget=0.5), **changes)
    results = manifest(tmp_path / "run").results
    assert results["stopped_by"] == "kl_budget"
    assert results["final"]["kl_k1"] <= 0.5
    kept = results["updates"]
    assert 0 < kept == results["updates_run"] - 1 < 11
    # The same run, ordered to stop there, ends with the very policy that was kept.
    run(tmp_path / "short", inputs, kl=KlControl(beta=0.0), **(changes | {"updates": kept}))
    stopped, short = manifest(tmp_path / "run"), manifest(tmp_path / "short")
    assert stopped.artifact("policy").sha256 == short.artifact("policy").sha256
    assert results["final"] == short.results["final"]


def test_a_strong_kl_price_holds_the_policy_nearer_to_its_reference(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    changes = CONTROL | {"updates": 6}
    found = {}
    for beta in (0.0, 10.0):
        directory = tmp_path / str(beta)
        run(directory, inputs, kl=KlControl(beta=beta), **changes)
        found[beta] = manifest(directory).results["final"]["kl_exact"]
    assert found[10.0] < found[0.0] / 2, found


def test_a_price_that_serves_a_limit_rises_while_the_limit_is_broken(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    control = KlControl(kind="lagrangian", beta=0.0, target=0.01, rate=0.05)
    assert run(tmp_path / "run", inputs, updates=5, kl=control, policy_learning_rate=1e-2) == 0
    rows = [row["metrics"] for row in ppo_runs.events(tmp_path / "run", "ppo")]
    assert rows[0]["beta"] == rows[1]["beta"] == 0.0  # the first rollout is the reference's
    assert all(row["kl_k1"] > 0.02 for row in rows[1:])
    assert [row["beta"] for row in rows[1:]] == pytest.approx([0.0, 0.05, 0.1, 0.15])


def test_an_update_stops_early_once_it_moved_too_far(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    run(tmp_path / "run", inputs, policy_learning_rate=1e-2, early_stop_update_kl=1e-6)
    for row in ppo_runs.events(tmp_path / "run", "ppo"):
        assert row["metrics"]["stopped_early"] == 1.0
        assert row["metrics"]["optimizer_steps"] < 4


# ---------------------------------------------------------------------- preflight


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompts_per_update": 15}, "use a multiple of 2"),
        ({"updates": 0}, "updates is 0"),
        ({"sampling": Sampling(max_new_tokens=6, top_p=0.9)}, "set top_k to 0 and top_p to 1"),
        ({"sampling": Sampling(max_new_tokens=6, temperature=0.0)}, "set it above 0"),
        ({"sampling": Sampling(max_new_tokens=60)}, "the policy has 64"),
        ({"max_prompt_tokens": 3}, "raise the setting or leave them out"),
        ({"reward_function": "tests.support.ppo_runs:no_such"}, "'package.module:function'"),
        ({"reward_function": ""}, "reward_model"),
        ({"kl": KlControl(kind="adaptive", horizon=0)}, "above 0"),
        (
            {"kl": KlControl(kind="adaptive", horizon=15)},
            "less than the 16 completions of one update",
        ),
        ({"kl": KlControl(kind="lagrangian", rate=0.0)}, "kl.target and kl.rate above 0"),
    ],
)
def test_what_cannot_work_is_said_in_one_sentence_before_any_update(
    tmp_path: Path, inputs: dict[str, Path], changes: dict[str, Any], sentence: str
) -> None:
    assert run(tmp_path / "run", inputs, **changes) == EXIT_USER
    assert sentence in message(tmp_path / "run")
    assert not ppo_runs.events(tmp_path / "run", "ppo")


def test_a_reference_with_another_vocabulary_is_refused(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    source = ppo_runs.tiny_policy()
    source.tokenizer.add_tokens(["extra"])
    source.model.resize_token_embeddings(len(source.tokenizer))
    other = ppo_runs.write_policy(tmp_path / "other", source)
    assert run(tmp_path / "run", inputs | {"reference": other}) == EXIT_USER
    assert "different vocabularies" in message(tmp_path / "run")


def test_a_first_policy_beyond_the_budget_is_refused(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    stranger = ppo_runs.write_policy(tmp_path / "stranger", ppo_runs.tiny_policy(seed=5))
    changed = inputs | {"reference": stranger}
    assert run(tmp_path / "run", changed, kl=KlControl(budget=0.001)) == EXIT_USER
    assert "before the first update" in message(tmp_path / "run")


def test_a_reward_that_is_not_a_number_names_the_text(
    tmp_path: Path, inputs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ppo_runs, "mention_blue", lambda messages, text: math.nan)
    assert run(tmp_path / "run", inputs) == EXIT_USER
    assert "gave nan for the text" in message(tmp_path / "run")


def test_a_checkpoint_counts_updates_by_the_name_of_the_first_release() -> None:
    progress = PpoProgress(step=5)
    state = progress.to_state()
    assert state["update"] == 5
    assert "step" not in state
    assert PpoProgress.from_state(state) == progress
