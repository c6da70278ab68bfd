"""People who use the line while the demo runs: each thing they may do just works, or ends in a sentence."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annotation.campaigns.models import Campaign, CampaignState
from annotation.campaigns.services import (
    campaign_create,
    campaign_set_state,
    campaign_update,
    guidelines_publish,
)
from annotation.comparisons.models import Comparison, Judgment, Prompt
from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from outerloop.demo import building
from outerloop.demo import loop as demo
from outerloop.demo.building import DemoFailed
from outerloop.demo.labelling import label
from outerloop.demo.loop import Cast, Narrator
from outerloop.demo.settings import QUICK, DemoOrder
from outerloop.demo.truth import round_truth
from outerloop.demo.world import prompts
from outerloop.rounds.claims import step_claim
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.models import PolicyLine, Round, State
from outerloop.rounds.selectors import line_plan
from outerloop.rounds.services import (
    first_pairs_order,
    line_base_set,
    line_plan_save,
    promotions_save,
    round_advance,
    round_cancel,
    round_start,
)
from outerloop.rounds.steps import Move, Wait
from tests.annotation.factories import a_simulation, an_annotator, label_next
from tests.outerloop.rounds.conftest import sent, steps, store
from tests.outerloop.rounds.world import policy_import, step_of
from training import facade as training

__all__ = ["sent", "steps", "store"]

SMALL = replace(QUICK, prompts=40, labels_per_round=6, held_out_prompts=4)
ORDER = DemoOrder(seed=3, demo=SMALL, slug="help-desk", name="Help desk")


class Told(Narrator):
    """Keeps what the person at the terminal is told, and lets a test act while the demo waits."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.meanwhile: list[Any] = []

    def say(self, text: str) -> None:
        self.sentences.append(text)

    def step(self, key: str, text: str, done: int, total: int) -> None:
        if text not in self.sentences:
            self.sentences.append(text)

    def waiting(self) -> None:
        if self.meanwhile:
            self.meanwhile.pop(0)()


@pytest.fixture
def cast(db: None, tmp_path: Path) -> Cast:
    """The demo as it stands once its first policy is there."""
    line = building.line_ensure(slug="help-desk", name="Help desk", demo=SMALL, seed=3)
    building.prompts_import(line, SMALL, 3)
    base = policy_import(line.id, tmp_path, "policy v1")
    line_base_set(line=line, version_id=base.id, actor="demo")
    return Cast(ORDER, line, Told())


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes up at once what is handed to it."""

    def advance(round_id: Any, state: Any) -> None:
        while round_advance(round_id=round_id) is not None:
            pass

    monkeypatch.setattr(demo, "advance_enqueue", advance)
    monkeypatch.setattr(demo, "NUDGE_SECONDS", 0.0)
    monkeypatch.setattr(demo, "POLL_SECONDS", 0.01)


def own_campaign(cast: Cast) -> Campaign:
    """The only one until a person adds another."""
    return Campaign.objects.filter(line=cast.line.id).earliest("created_at")


def told(cast: Cast) -> Told:
    assert isinstance(cast.narrator, Told)
    return cast.narrator


def pairs_add(cast: Cast, count: int, campaign: Any = None, **fields: Any) -> None:
    """Pairs of the demo world, as a round puts them into the queue."""
    asked = Prompt.objects.filter(line=cast.line.id, source="demo").exclude(split="evaluation")
    sides = (NewCompletion("Yes."), NewCompletion("No."))
    pairs_create(
        campaign=campaign or own_campaign(cast),
        purpose=fields.pop("purpose", "training"),
        pairs=[NewPair(prompt_id=row.pk, completions=sides) for row in asked[:count]],
        **fields,
    )


def foreign_pairs(cast: Cast, count: int) -> list[Comparison]:
    """A person imports pairs of their own into the demo's campaign."""
    new = [
        NewPrompt(
            messages=({"role": "user", "content": f"What is love, part {n}?"},), split="train"
        )
        for n in range(count)
    ]
    stored = prompts_ensure(line_id=cast.line.id, prompts=new)
    sides = (NewCompletion("Baby don't hurt me."), NewCompletion("A feeling."))
    pairs = [NewPair(prompt_id=row.pk, completions=sides) for row in stored]
    pairs_create(campaign=own_campaign(cast), purpose="training", pairs=pairs, source="mine.jsonl")
    return list(Comparison.objects.filter(source="mine.jsonl"))


def labelled(cast: Cast, wanted: int) -> int:
    return label(line_id=cast.line.id, wanted=wanted, seed=3)


def test_the_demo_keeps_to_its_own_campaign_beside_a_newer_one(cast: Cast) -> None:
    own = own_campaign(cast)
    campaign_create(line_id=cast.line.id, name="Mine", state=CampaignState.ACTIVE)
    building.line_ensure(slug="help-desk", name="Help desk", demo=SMALL, seed=3)
    assert building.demo_campaign(cast.line.id).id == own.pk


def test_pairs_of_a_round_in_a_persons_campaign_are_answered(cast: Cast) -> None:
    mine = campaign_create(
        line_id=cast.line.id, name="Mine", guidelines="Mine.", state=CampaignState.ACTIVE
    )
    pairs_add(cast, 3, mine, round_id=uuid.uuid4())
    assert labelled(cast, 3) == 3


def test_pairs_that_a_person_imported_are_left_to_people(cast: Cast) -> None:
    imported = foreign_pairs(cast, 3)
    pairs_add(cast, 4)
    assert labelled(cast, 100) >= 4
    assert not Judgment.objects.filter(assignment__comparison__in=imported).exists()
    assert Comparison.objects.filter(pk__in=[c.pk for c in imported], open=True).count() == 3
    person = an_annotator(own_campaign(cast))
    version = own_campaign(cast).guidelines.get()
    version.acknowledgements.create(rater=person)
    label_next(person, own_campaign(cast))


def test_new_guidelines_are_read_before_the_next_pair(cast: Cast) -> None:
    pairs_add(cast, 4)
    assert labelled(cast, 2) == 2
    guidelines_publish(campaign=own_campaign(cast), text="Shorter is better.")
    assert labelled(cast, 2) == 2


def test_a_persons_labels_count(cast: Cast) -> None:
    pairs_add(cast, 6)
    person = an_annotator(own_campaign(cast))
    own_campaign(cast).guidelines.get().acknowledgements.create(rater=person)
    label_next(person, own_campaign(cast))
    demo._labels_collect(cast, 1)
    assert Judgment.objects.filter(active=True).count() == SMALL.labels_per_round


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.CLOSED])
def test_a_campaign_that_a_person_has_stopped_is_waited_for(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(demo, "POLL_SECONDS", 0.0)
    pairs_add(cast, 6)
    campaign_set_state(campaign=own_campaign(cast), state=state)
    told(cast).meanwhile = [
        lambda: None,
        lambda: campaign_set_state(campaign=own_campaign(cast), state=CampaignState.ACTIVE),
    ]
    demo._labels_collect(cast, 1)
    word = CampaignState(state).label.lower()
    assert f"labels for round 1: waiting, since the campaign is {word}" in told(cast).sentences
    assert Judgment.objects.count() == 6


def test_a_label_budget_that_a_person_has_set_ends_the_labelling(cast: Cast) -> None:
    pairs_add(cast, 6)
    campaign_update(campaign=own_campaign(cast), label_budget=2)
    demo._labels_collect(cast, 1)
    assert Judgment.objects.count() == 2


def test_a_rule_for_promotions_and_a_plan_that_people_save_meanwhile_are_those_of_the_round(
    cast: Cast, steps: Any, worker: None
) -> None:
    theirs = PolicyLine.objects.get(pk=cast.line.pk)
    promotions_save(
        line=theirs,
        deploys_by_itself=False,
        canary_share=0,
        release_gate_labels="never",
        actor="a lead",
    )
    plan = replace(line_plan(theirs), evaluation_prompts=7)
    line_plan_save(line=theirs, plan=plan, actor="a person")
    own = demo._round(cast, 1)
    assert own.deploys_by_itself is False
    assert own.plan["evaluation_prompts"] == 7


def test_a_round_that_a_person_has_started_comes_before_the_demos_own(
    cast: Cast, steps: Any, worker: None
) -> None:
    pairs_add(cast, 6)
    labelled(cast, 2)
    theirs = round_start(line=cast.line, trigger="person", forced=True)
    own = demo._round(cast, 1)
    assert (own.trigger, own.number, own.state) == ("demo", theirs.number + 1, State.CLOSED)
    said = f"round {theirs.number} was started by a person; the demo goes on after it"
    assert said in told(cast).sentences
    assert demo._round(cast, 1) == own  # counted as the demo's first, the next time as well


def test_a_round_of_the_schedule_at_the_very_moment_comes_first(
    cast: Cast, steps: Any, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = []

    def start(**order: Any) -> Round:
        starts.append(order["trigger"])
        if len(starts) == 1:
            round_start(line=cast.line, trigger="schedule", forced=True)
        return round_start(**order)

    monkeypatch.setattr(demo, "round_start", start)
    assert demo._round(cast, 1).trigger == "demo"
    assert starts == ["demo", "demo"]


def test_a_persons_round_that_failed_is_no_failure_of_the_demo(
    cast: Cast, steps: Any, worker: None
) -> None:
    theirs = round_start(line=cast.line, trigger="person", forced=True)
    steps.outcomes[State.SNAPSHOT] = ValueError("no such file")
    round_advance(round_id=theirs.id)
    del steps.outcomes[State.SNAPSHOT]
    assert demo._round(cast, 1).state == State.CLOSED


def test_a_round_of_the_demo_that_a_person_cancels_ends_it_in_a_sentence_and_goes_on_next_time(
    cast: Cast, steps: Any, worker: None
) -> None:
    steps.outcomes[State.REWARD_TRAINING] = Wait("It learns.")
    told(cast).meanwhile = [
        lambda: round_cancel(round_=cast.line.rounds.get(), actor="a person"),
    ]
    with pytest.raises(DemoFailed, match="Round 1 ended as cancelled: Cancelled by a person"):
        demo._round(cast, 1)
    del steps.outcomes[State.REWARD_TRAINING]
    assert demo._round(cast, 1).number == 1


def test_a_cancelled_round_that_a_later_one_followed_is_replaced(
    cast: Cast, steps: Any, worker: None
) -> None:
    gone = round_start(line=cast.line, trigger="demo", forced=True)
    Round.objects.filter(pk=gone.pk).update(state=State.CANCELLED)
    theirs = round_start(line=cast.line, trigger="person", forced=True)
    Round.objects.filter(pk=theirs.pk).update(state=State.CLOSED)
    own = demo._round(cast, 1)
    assert (own.number, own.state) == (3, State.CLOSED)


def test_first_pairs_that_a_person_orders_at_the_same_moment_are_followed(
    cast: Cast, steps: Any, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def order(**asked: Any) -> Round:
        first_pairs_order(line=cast.line, trigger="person")
        raise RoundRefused("The first pairs were ordered at the same moment.")

    monkeypatch.setattr(demo, "first_pairs_order", order)
    demo._first_pairs(cast.line, cast.narrator)
    assert cast.line.rounds.get().state == State.CLOSED


def test_nobody_looks_at_the_gate_while_a_batch_is_answered(
    cast: Cast, steps: Any, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the labels of the next round would depend on how busy the machine is."""
    round_ = round_start(line=cast.line, trigger="demo", forced=True)
    pairs_add(cast, 5, purpose="gate", round_id=round_.id)
    looks: list[int] = []
    Round.objects.filter(pk=round_.pk).update(state=State.AWAITING_LABELS)
    round_.refresh_from_db()

    def meanwhile(**asked: Any) -> int:
        assert step_claim(round_, owner="a worker") is None
        return label(**asked)

    def decide(context: Any) -> Any:
        looks.append(Judgment.objects.count())
        return Move(State.CLOSED) if looks[-1] == 4 else Wait("Labels.")

    monkeypatch.setattr(demo, "label", meanwhile)
    monkeypatch.setattr(demo, "GATE_BATCH", 2)
    steps.outcomes[State.AWAITING_LABELS] = decide
    demo._gate_labels(round_, cast)
    demo._gate_labels(round_, cast)
    assert looks == [2, 4]
    round_.refresh_from_db()
    assert round_.state == State.CLOSED


def test_a_batch_waits_while_a_worker_looks(cast: Cast, steps: Any) -> None:
    round_ = round_start(line=cast.line, trigger="demo", forced=True)
    pairs_add(cast, 2, purpose="gate", round_id=round_.id)
    Round.objects.filter(pk=round_.pk).update(state=State.AWAITING_LABELS)
    round_.refresh_from_db()
    assert step_claim(round_, owner="a worker") is not None
    demo._gate_labels(round_, cast)
    assert Judgment.objects.count() == 0
    assert step_of(round_).lease_owner == "a worker"


def test_what_a_person_has_imported_has_no_gold(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {asked.fact: asked.messages for asked in prompts(3, 40)}
    side = {"text": "Yes.", "ended": True}
    rows = [
        {"messages": list(messages), "candidate": side, "incumbent": side}
        for messages in (*known.values(), ({"role": "user", "content": "What is love?"},))
    ]
    monkeypatch.setattr("outerloop.demo.truth.step_run_record", lambda round_, state: object())
    monkeypatch.setattr("evaluation.facade.samples_read", lambda run: rows)
    truth = round_truth(Round())
    assert truth is not None
    assert truth.win_rate.n == len(known) > 1
    monkeypatch.setattr("evaluation.facade.samples_read", lambda run: rows[-2:])
    assert round_truth(Round()) is None


def test_the_first_policy_is_asked_questions_of_this_world_only(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    strange = [
        NewPrompt(messages=({"role": "user", "content": f"Who is {n}?"},), split="evaluation")
        for n in range(40)
    ]
    prompts_ensure(line_id=cast.line.id, prompts=strange)

    def run(line: Any, *, inputs: Any, **order: Any) -> Any:
        asked = Path(inputs["prompts"].path).read_text().splitlines()
        path = tmp_path / "completions.jsonl"
        sides = [{"text": "Yes.", "ended": True}]
        rows = [{"prompt_id": json.loads(row)["id"], "completions": sides} for row in asked]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    monkeypatch.setattr(building, "_run", run)
    monkeypatch.setattr(training, "input_from_run", lambda run, name: training.input_from_path(run))
    base = cast.line.base_version
    assert base is not None
    scores = building.gold_scores(cast.line, base, SMALL, seed=3, report=lambda event: None)
    assert len(scores) == SMALL.held_out_prompts


def test_a_program_that_a_killed_demo_still_holds_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: Any = object()
    answers = [training.RunBusy("held"), training.RunBusy("held"), done]

    def execute(**order: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(building, "BUSY_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(training, "run_execute", execute)
    events: list[Any] = []
    assert building._carried_out(uuid.uuid4(), events.append) is done
    assert events[0].phase == "waiting for the program of an earlier demo to let go"


def test_other_simulated_raters_do_not_disturb(cast: Cast) -> None:
    pairs_add(cast, 4)
    a_simulation()
    assert labelled(cast, 4) == 4
