"""A line with a campaign, raters and pairs, made through the services that the product uses."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

from annotation.accounts.models import Rater, Role, User
from annotation.accounts.services import membership_grant, rater_for, simulated_rater
from annotation.campaigns.models import Campaign
from annotation.campaigns.services import campaign_create
from annotation.comparisons.models import Assignment, Comparison
from annotation.comparisons.records import Answer, Lease, SubmitOutcome
from annotation.comparisons.services import (
    judgment_submit,
    pairs_create,
    prompts_ensure,
    queue_lease_next,
)
from annotation.contracts import NewCompletion, NewPair, NewPrompt

_numbers = itertools.count(1)

PLAIN = {
    "state": "active",
    "overlap": 1,
    "overlap_sample_share": 0.0,
    "gate_share": 0.0,
    "gold_share": 0.0,
    "repeat_share": 0.0,
}


def a_campaign(**settings: Any) -> Campaign:
    """An active campaign without overlap sample, gold items or repeats, unless asked for."""
    line_id = settings.pop("line_id", None) or uuid.uuid4()
    name = settings.pop("name", f"Campaign {next(_numbers)}")
    return campaign_create(line_id=line_id, name=name, **{**PLAIN, **settings})


def an_annotator(campaign: Campaign) -> Rater:
    name = f"annotator{next(_numbers)}"
    user = User.objects.create_user(username=name, email=f"{name}@example.com")
    membership_grant(user=user, role=Role.ANNOTATOR, line_id=campaign.line)
    return rater_for(user=user)


def a_simulation() -> Rater:
    return simulated_rater(name=f"sim{next(_numbers)}")


def some_pairs(
    campaign: Campaign,
    count: int,
    *,
    purpose: str = "training",
    round_id: uuid.UUID | None = None,
    versions: tuple[uuid.UUID, uuid.UUID] | None = None,
    **prompt: Any,
) -> list[Comparison]:
    """Pairs on new prompts, where such pairs belong unless `split` says otherwise; slot 1 reads "first
    answer N", slot 2 "second answer N"."""
    versions = versions or (uuid.uuid4(), uuid.uuid4())
    numbers = [next(_numbers) for _ in range(count)]
    prompt = {"split": "evaluation" if purpose == "gate" else "train", **prompt}
    prompts = prompts_ensure(
        line_id=campaign.line,
        prompts=[
            NewPrompt(messages=({"role": "user", "content": f"Question {n}?"},), **prompt)
            for n in numbers
        ],
    )
    before = set(Comparison.objects.values_list("pk", flat=True))
    pairs_create(
        campaign=campaign,
        purpose=purpose,
        round_id=round_id,
        pairs=[
            NewPair(
                prompt_id=p.pk,
                completions=(
                    NewCompletion(f"first answer {n}", model_version=versions[0]),
                    NewCompletion(f"second answer {n}", model_version=versions[1]),
                ),
            )
            for p, n in zip(prompts, numbers, strict=True)
        ],
    )
    return list(Comparison.objects.exclude(pk__in=before))


def lease(rater: Rater, campaign: Campaign) -> Lease:
    found = queue_lease_next(rater=rater, campaign=campaign)
    assert found is not None, "the queue is empty"
    return found


def submit(rater: Rater, assignment_id: uuid.UUID, value: int = 2, **answer: Any) -> SubmitOutcome:
    return judgment_submit(
        rater=rater,
        assignment_id=assignment_id,
        answer=Answer(values={"overall": value}, **answer),
        idempotency_key=str(uuid.uuid4()),
    )


def label_next(rater: Rater, campaign: Campaign, value: int = 2, **answer: Any) -> SubmitOutcome:
    return submit(rater, lease(rater, campaign).assignment_id, value, **answer)


ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth")


def some_rankings(campaign: Campaign, count: int, **prompt: Any) -> list[Comparison]:
    """Answers to be ranked on new training prompts; slot 1 reads "first answer N", slot 2 "second answer N"."""
    numbers = [next(_numbers) for _ in range(count)]
    prompts = prompts_ensure(
        line_id=campaign.line,
        prompts=[
            NewPrompt(
                messages=({"role": "user", "content": f"Question {n}?"},),
                **{"split": "train", **prompt},
            )
            for n in numbers
        ],
    )
    version = uuid.uuid4()
    before = set(Comparison.objects.values_list("pk", flat=True))
    pairs_create(
        campaign=campaign,
        purpose="training",
        pairs=[
            NewPair(
                prompt_id=p.pk,
                completions=tuple(
                    NewCompletion(f"{ordinal} answer {n}", model_version=version)
                    for ordinal in ORDINALS[: campaign.answers]
                ),
            )
            for p, n in zip(prompts, numbers, strict=True)
        ],
    )
    return list(Comparison.objects.exclude(pk__in=before))


def rank_next(rater: Rater, campaign: Campaign, *levels: int, **answer: Any) -> SubmitOutcome:
    """Rank the next answers: `levels` by slot (1, 2, ... in slot order unless given)."""
    found = Assignment.objects.get(pk=lease(rater, campaign).assignment_id)
    by_slot = levels or tuple(range(1, campaign.answers + 1))
    return judgment_submit(
        rater=rater,
        assignment_id=found.pk,
        answer=Answer(
            values={}, ranking=tuple(by_slot[slot - 1] for slot in found.shown_order), **answer
        ),
        idempotency_key=str(uuid.uuid4()),
    )
