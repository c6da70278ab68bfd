"""DPO and best-of-n as the real programs of a round, on a policy of some 30,000 parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from annotation.comparisons.services import prompts_ensure
from annotation.contracts import NewPrompt, SnapshotRecipe
from outerloop.rounds.models import Round, State
from outerloop.rounds.plan import RoundPlan, plan_override
from outerloop.rounds.record import record_build
from outerloop.rounds.services import line_base_set, line_create
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs
from tests.outerloop.rounds.world import advance_through, known
from tests.support.tiny_line import artifacts_make, version_create
from training import facade as training

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

QUESTIONS = ["name a colour", "count to three", "what is a cat", "say yes", "sun or moon", "why"]
MEASURE = {"points": 2, "prompts": 6, "sampling": {"max_new_tokens": 6}, "exact_kl_rollouts": 6}
CHANGES: dict[str, dict[str, Any]] = {
    "dpo": {"epochs": 1, "max_length": 64, "adapter": {"kind": "lora", "rank": 2}},
    "best_of_n": {"n": 2, "iterations": 2, "prompts_per_iteration": 6, "epochs": 1},
}


@pytest.fixture
def round_(settings: Any, tmp_path: Path) -> Round:
    """A round about to train its policy, with judged pairs of both sides of the reward model."""
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    made = artifacts_make(settings.ARTIFACT_ROOT / "tiny")
    line = line_create(name="Tiny", slug="tiny", plan=RoundPlan())
    versions = {kind: version_create(line.id, kind, path) for kind, path in made.items()}
    line_base_set(line=line, version_id=versions["policy"], actor="set-up")
    messages = [({"role": "user", "content": question},) for question in QUESTIONS]
    prompts_ensure(
        line_id=line.id, prompts=[NewPrompt(messages=m, split="train") for m in messages]
    )
    campaign = a_campaign(line_id=line.id)
    rater = an_annotator(campaign)
    some_pairs(campaign, 24, split="train")
    for _ in range(24):
        label_next(rater, campaign, 2)
    return Round.objects.create(
        line=line,
        number=1,
        state=State.POLICY_TRAINING,
        trigger="person",
        plan=line.plan,
        incumbent=versions["policy"],
        snapshot=training.snapshot_take(
            line_id=line.id, recipe=SnapshotRecipe(until=timezone.now().isoformat())
        ).id,
        reward_model=versions["reward_model"],
        held_out_reward_model=versions["held_out_reward_model"],
    )


@pytest.mark.parametrize("optimizer", ["dpo", "best_of_n"])
def test_a_round_s_candidate_and_its_curves_come_from_the_program(
    round_: Round, optimizer: str
) -> None:
    settings = {"measure": MEASURE, "batch_size": 6} | CHANGES[optimizer]
    plan = plan_override(
        RoundPlan.from_json(round_.plan), {"optimizer": optimizer, optimizer: settings}
    )
    Round.objects.filter(pk=round_.pk).update(plan=plan.to_json())
    round_ = advance_through(round_, upto=State.POLICY_EVALUATION)
    assert round_.state == State.POLICY_EVALUATION, round_.error
    candidate = training.model_version_get(known(round_.candidate))
    training.model_version_verify(candidate.id)
    assert candidate.sha256 != training.model_version_get(round_.incumbent).sha256
    rows = record_build(round_).training_curves[optimizer]
    assert len(rows) == 3
    for row in rows:
        assert row["reward_train"] is not None
        assert row["reward_held_out"] is not None
        assert row["kl_exact"] is not None
