"""Prompts and judgments by token: put in once, read back as they were said, line by line."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest

from annotation.comparisons.models import Assignment, Comparison, Judgment, Prompt
from annotation.comparisons.records import Answer
from annotation.comparisons.services import gate_queue_close, judgment_revise
from tests.annotation.factories import a_campaign, an_annotator, label_next, some_pairs, submit
from tests.support.programs import a_program, refused

pytestmark = pytest.mark.django_db
LINE, OTHER_LINE = uuid.UUID(int=91), uuid.UUID(int=92)
WHY = {"messages": [{"role": "user", "content": "Why?"}], "tags": ["short"], "source": "desk"}


@pytest.fixture
def eve():
    return a_program("engineer", "read", "import", line=LINE)


def test_prompts_go_in_once_and_come_back_with_their_split(eve):
    how = {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How?"}]}  # fmt: skip
    first = eve.post(f"lines/{LINE}/prompts", {"prompts": [WHY, how]})
    again = eve.post(f"lines/{LINE}/prompts", {"prompts": [how, WHY]})
    assert first.status_code == 201
    assert first.json()["ids"] == again.json()["ids"][::-1]
    found = {row["id"]: row for row in eve.items(f"lines/{LINE}/prompts")}
    assert found.keys() == set(first.json()["ids"])
    shown = found[first.json()["ids"][0]]
    assert (shown["messages"], shown["tags"], shown["source"]) == (
        WHY["messages"],
        ["short"],
        "desk",
    )
    of_split = eve.items(f"lines/{LINE}/prompts", split=shown["split"])
    assert shown in of_split
    assert all(row["split"] == shown["split"] for row in of_split)


@pytest.mark.parametrize(
    ("prompt", "field"),
    [
        ({"messages": []}, "prompts.0.messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "prompts.0.messages.0.content"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "prompts.0.messages.0.role"),
        ({"messages": [{"role": "assistant", "content": "Yes."}]}, "prompts.0.messages"),
        ({**WHY, "tags": ["t" * 61]}, "prompts.0.tags"),
        ({**WHY, "source": "s" * 101}, "prompts.0.source"),
    ],
)
def test_a_wrong_prompt_is_named_by_its_place_and_none_is_stored(eve, prompt, field):
    problem = refused(eve.post(f"lines/{LINE}/prompts", {"prompts": [prompt, WHY]}), 422)
    assert [each["field"] for each in problem["errors"]] == [field]
    assert not Prompt.objects.exists()


def test_judgments_read_in_slot_order_with_what_was_superseded(eve):
    campaign = a_campaign(line_id=LINE, criteria=[("honest", "Honest")], guidelines="")
    some_pairs(campaign, 1)
    rater = an_annotator(campaign)
    outcome = label_next(
        rater,
        campaign,
        2,
        flags=("unsafe:left",),
        rationale="Kinder.",
        seconds=4.5,
        reasons=("brief",),
    )
    judgment_revise(
        rater=rater,
        assignment_id=outcome.assignment_id,
        answer=Answer(values={"overall": 7, "honest": 3}, both_bad=True),
        idempotency_key="again",
    )
    revised, first = eve.items(f"lines/{LINE}/judgments")
    left_is_first = first["shown_order"] == [1, 2]
    assert first["values"] == {"overall": 2 if left_is_first else 6}
    turned = {"overall": 1, "honest": 5}
    assert revised["values"] == ({"overall": 7, "honest": 3} if left_is_first else turned)
    assert first["flags"] == [f"unsafe:{first['shown_order'][0]}"]
    assert (first["rationale"], first["seconds"], first["rater"]) == (
        "Kinder.",
        4.5,
        rater.pseudonym,
    )
    assert (first["reasons"], revised["reasons"]) == (["brief"], [])
    assert (first["active"], first["revision"]) == (False, 1)
    assert (revised["active"], revised["revision"], revised["both_bad"]) == (True, 2, True)
    assert eve.items(f"lines/{LINE}/judgments", active="true") == [revised]


def test_judgments_are_narrowed_by_campaign_rater_purpose_and_time(eve):
    campaign, other = (a_campaign(line_id=LINE, overlap=2) for _ in range(2))
    some_pairs(campaign, 2)
    some_pairs(other, 1)
    ann, bob = an_annotator(campaign), an_annotator(campaign)
    for rater, where in ((ann, campaign), (bob, campaign), (ann, campaign), (bob, other)):
        label_next(rater, where)
    address = f"lines/{LINE}/judgments"
    assert len(eve.items(address, limit=1)) == 4
    assert len(eve.items(address, campaign=str(campaign.pk))) == 3
    assert len(eve.items(address, rater=ann.pseudonym)) == 2
    assert len(eve.items(address, purpose="gold")) == 0
    times = sorted(Judgment.objects.values_list("created_at", flat=True))
    assert len(eve.items(address, since=times[1].isoformat())) == 3
    assert len(eve.items(address, until=times[1].isoformat())) == 1
    later = (times[-1] + timedelta(days=1)).isoformat()
    assert eve.items(address, since=later) == []
    assert refused(eve.get(address, since="soon"), 422)["errors"][0]["field"] == "since"


def test_what_is_said_in_a_gate_and_in_its_repeats_comes_when_it_has_decided(eve):
    campaign, round_id = a_campaign(line_id=LINE, gate_share=1.0), uuid.uuid4()
    (pair,) = some_pairs(campaign, 1, purpose="gate", round_id=round_id)
    rater = an_annotator(campaign)
    label_next(rater, campaign)
    (again,) = some_pairs(campaign, 1)
    of_pair = {"purpose": "repeat_of", "repeat_of": pair, "leased": 1}
    Comparison.objects.filter(pk=again.pk).update(**of_pair)
    submit(rater, Assignment.objects.create(comparison=again, rater=rater, shown_order=[1, 2]).pk)
    address = f"lines/{LINE}/judgments"
    assert eve.items(address) == []
    assert eve.items(address, purpose="gate") == []
    gate_queue_close(round_id=round_id)
    assert [row["purpose"] for row in eve.items(address, purpose="gate")] == ["gate"]
    assert len(eve.items(address)) == 2


def test_another_line_is_closed(eve):
    for answer in (
        eve.get(f"lines/{OTHER_LINE}/judgments"),
        eve.get(f"lines/{OTHER_LINE}/prompts"),
        eve.post(f"lines/{OTHER_LINE}/prompts", {"prompts": [WHY]}),
    ):
        assert refused(answer, 403)
    assert not Prompt.objects.exists()
