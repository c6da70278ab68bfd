"""What a dry run warns of: too few evaluation prompts, or too few fresh ones."""

from __future__ import annotations

import uuid

from annotation.comparisons.models import Prompt
from annotation.comparisons.services import pairs_create
from annotation.contracts import NewCompletion, NewPair
from evaluation import facade as evaluation
from evaluation.contracts import GatePolicySettings
from outerloop.rounds.dry_run import start_check
from outerloop.rounds.models import State
from tests.annotation.factories import a_simulation, label_next
from tests.outerloop.rounds.pages import text, url

SHORT = (
    "The gate policy lets a round ask for 1,000 labels, one a prompt, but this line has 4 evaluation"
    " prompts: 4 labels are the most that a round can get."
)
WORN = "21 of 24 evaluation prompts are fresh: no gate has shown them yet."


def test_fewer_prompts_than_labels_are_said_before_a_round_and_in_it(as_, loop):
    assert [note[: len(SHORT)] for note in start_check(line=loop.line).notes] == [SHORT]
    round_ = loop.round(State.REWARD_TRAINING)
    for name, *more in (("dry_run",), ("round", 1)):
        assert SHORT in text(as_("lead").get(url(name, loop, *more)))
    round_.state, round_.verdict = State.CLOSED, "REJECT"
    round_.save()
    assert SHORT not in text(as_("lead").get(url("round", loop, 1)))


def test_worn_prompts_are_said_before_a_round_that_may_need_them(as_, loop):
    policy = GatePolicySettings(max_labels=22)
    evaluation.gate_policy_save(line_id=loop.line.id, settings=policy, actor="a lead")
    loop.prompts("evaluation", 20)
    assert start_check(line=loop.line).notes == ()
    loop.campaign.gate_share = 1.0
    loop.campaign.save()
    versions = uuid.uuid4(), uuid.uuid4()
    sides = (NewCompletion("one", versions[0]), NewCompletion("two", versions[1]))
    asked = Prompt.objects.filter(line=loop.line.id, split="evaluation")[:5]
    pairs_create(
        campaign=loop.campaign,
        purpose="gate",
        pairs=[NewPair(prompt.pk, sides) for prompt in asked],
        round_id=uuid.uuid4(),
    )
    for _ in range(2):  # 22 are fresh, and 22 labels may be asked for
        label_next(a_simulation(), loop.campaign)
        assert start_check(line=loop.line).notes == ()
    label_next(a_simulation(), loop.campaign)
    (note,) = start_check(line=loop.line).notes
    assert note.startswith(WORN)
    assert "holds for prompts seen before. Import more evaluation prompts." in note
    page = text(as_("engineer").get(url("dry_run", loop)))
    assert note in page
    assert "24, of which 21 are fresh" in page


def test_a_plan_that_judges_on_shorter_prompts_than_it_learns_from_is_told(as_, loop):
    loop.line.plan = loop.line.plan | {"policy": {"max_prompt_tokens": 300}}
    loop.line.save()
    evaluation.gate_policy_save(
        line_id=loop.line.id, settings=GatePolicySettings(max_labels=20), actor="a lead"
    )
    loop.prompts("evaluation", 20)
    (note,) = start_check(line=loop.line).notes
    assert "up to 300 tokens" in note
    assert "are cut to 128" in note
    assert "Set evaluate_policy.max_prompt_tokens in the plan to policy.max_prompt_tokens." in note
    assert note in text(as_("engineer").get(url("dry_run", loop)))
    loop.line.plan = loop.line.plan | {"evaluate_policy": {"max_prompt_tokens": 300}}
    loop.line.save()
    assert start_check(line=loop.line).notes == ()
