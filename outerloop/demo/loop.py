"""The demo from an empty line to a summary. Every stage looks at what is there and goes on from it,
so a demo that was interrupted is simply started again.

People may use the line meanwhile: what they start is waited for, what they stop ends the demo in a
sentence, and the next one goes on from there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from annotation import facade as annotation
from outerloop.demo import building
from outerloop.demo.labelling import label
from outerloop.demo.settings import DemoOrder
from outerloop.demo.summary import summary_made, summary_write
from outerloop.demo.truth import round_truth
from outerloop.rounds.claims import ClaimLost, step_claim, step_release
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.mending import round_take_up
from outerloop.rounds.models import ENDS, PolicyLine, Round, State
from outerloop.rounds.record import record_refresh
from outerloop.rounds.selectors import active_round, fresh_labels, last_round
from outerloop.rounds.services import first_pairs_order, round_start
from outerloop.rounds.tasks import advance, advance_enqueue

POLL_SECONDS = 0.5
NUDGE_SECONDS = 15.0
GATE_BATCH = 40


class Narrator:
    """Tells the person at the terminal what happens; the command gives one that draws bars."""

    def say(self, text: str) -> None: ...

    def step(self, key: str, text: str, done: int, total: int) -> None: ...

    def waiting(self) -> None:
        """Called while workers work; raises `DemoFailed` where there is nobody to wait for."""


@dataclass(frozen=True)
class Cast:
    """Who is on the stage of one demo."""

    order: DemoOrder
    line: PolicyLine
    narrator: Narrator


def demo_run(order: DemoOrder, narrator: Narrator) -> dict[str, Any]:
    """Run the whole loop and return the summary, which is written to var/demo as well."""
    began = time.monotonic()
    demo, seed = order.demo, order.seed
    line = building.line_ensure(slug=order.slug, name=order.name, demo=demo, seed=seed)
    cast = Cast(order, line, narrator)
    narrator.say(f"{building.prompts_import(line, demo, seed)} prompts; 4 simulated annotators")
    building.first_policy_train(line, demo, seed, _program_report(narrator, "first policy"))
    report = _program_report(narrator, "held-out questions")
    first = building.first_policy_check(line, demo, seed, report)
    narrator.say(
        f"first policy: {first.correct:.0%} right, {first.junk:.0%} junk, {first.steps} steps"
    )
    _first_pairs(line, narrator)
    rows = [_round(cast, number) for number in range(1, demo.rounds + 1)]
    summary = summary_made(order, line, first, rows, time.monotonic() - began, report)
    summary_write(summary, order)
    return summary


def _program_report(narrator: Narrator, what: str) -> Callable[[Any], None]:
    def report(event: Any) -> None:
        text = f"{what}: {event.phase}"
        narrator.step(text, text, event.step, event.total_steps)

    return report


def _first_pairs(line: PolicyLine, narrator: Narrator) -> None:
    """Round 0: pairs of the first policy. An interrupted one goes on; a finished one stays."""
    round_ = line.rounds.filter(number=0).first()
    line.refresh_from_db()
    if round_ is None:
        try:
            round_ = _enqueued(first_pairs_order(line=line, trigger="demo"))
        except RoundRefused:  # a person has just ordered them
            round_ = line.rounds.filter(number=0).first()
            if round_ is None:
                raise
    if last_round(line) == round_:
        _taken_up(round_)
        _follow(round_, narrator)


def _taken_up(round_: Round) -> None:
    """What failed or was cancelled goes on where it stopped."""
    if round_.state in (State.FAILED, State.CANCELLED):
        round_take_up(round_=round_, actor="demo")
        round_.refresh_from_db()
        _enqueued(round_)


def _round(cast: Cast, number: int) -> Round:
    """The demo's own round of this number: people's rounds are not counted."""
    round_ = _own_rounds(cast.line).get(number) or _started(cast, number)
    _taken_up(round_)
    _follow(round_, cast.narrator, cast)
    round_.refresh_from_db()
    truth = round_truth(round_)
    if truth is not None:
        Round.objects.filter(pk=round_.pk).update(truth=truth.to_json())
        round_.refresh_from_db()
    record_refresh(round_)
    cast.narrator.say(
        f"round {round_.number}: {round_.verdict or round_.state} - {round_.summary or round_.error}"
    )
    return round_


def _own_rounds(line: PolicyLine) -> dict[int, Round]:
    """1, 2, ... -> the rounds that the demo has started. One that a person stopped and followed by a
    round of theirs can no longer be taken up: another takes its place."""
    own = line.rounds.filter(trigger="demo", number__gt=0).order_by("number")
    last = last_round(line)
    return dict(enumerate((r for r in own if r.state == State.CLOSED or r.active or r == last), 1))


def _started(cast: Cast, number: int) -> Round:
    """Collect labels and start a round; one that somebody else starts meanwhile comes first."""
    order, line = cast.order, cast.line
    while True:
        _labels_collect(cast, number)
        line.refresh_from_db()  # a person may have saved another plan or rule for promotions
        running = active_round(line)
        if running is None:
            try:
                return _enqueued(
                    round_start(
                        line=line,
                        trigger="demo",
                        forced=True,
                        changes=order.changes,
                        title=order.title,
                    )
                )
            except RoundRefused:
                running = active_round(line)
                if running is None:
                    raise
        cast.narrator.say(
            f"round {running.number} was started {running.get_trigger_display()}; the demo goes on after it"
        )
        _follow(running, cast.narrator, cast)


def _labels_collect(cast: Cast, number: int) -> None:
    """Label until the round has enough, or the queue is empty; a campaign that a person has closed or
    paused is waited for."""
    text = f"labels for round {number}"
    while (wanted := cast.order.demo.labels_per_round - fresh_labels(cast.line)) > 0:
        label(
            line_id=cast.line.id,
            wanted=wanted,
            seed=cast.order.seed,
            shuffled=cast.order.shuffled,
            report=partial(_label_given, cast.narrator, text, wanted),
        )
        state = building.demo_campaign(cast.line.id).state
        if state == "active":
            return
        waits = f"{text}: waiting, since the campaign is {state}"
        cast.narrator.step(waits, waits, 0, 0)
        cast.narrator.waiting()
        time.sleep(POLL_SECONDS)


def _label_given(narrator: Narrator, text: str, wanted: int, done: int) -> None:
    narrator.step(text, text, done, wanted)


def _enqueued(round_: Round) -> Round:
    advance_enqueue(round_.id, round_.state)
    return round_


def _follow(round_: Round, narrator: Narrator, cast: Cast | None = None) -> None:
    """Watch the workers carry the round to its end; answer when it waits for labels. Only what the
    demo has started must end well."""
    nudged = time.monotonic()
    while True:
        round_.refresh_from_db()
        if round_.state in ENDS:
            break
        _show(round_, narrator)
        narrator.waiting()
        if round_.state == State.AWAITING_LABELS and cast is not None:
            _gate_labels(round_, cast)
        if time.monotonic() - nudged > NUDGE_SECONDS:
            nudged = time.monotonic()
            advance_enqueue(round_.id, round_.state)
        time.sleep(POLL_SECONDS)
    if round_.state != State.CLOSED and round_.trigger == "demo":
        raise building.DemoFailed(
            f"{round_} ended as {round_.get_state_display().lower()}: {round_.error}"
        )


def _gate_labels(round_: Round, cast: Cast) -> None:
    """A batch of honest labels, and then the look at them. The demo holds the step meanwhile: which
    pairs are labelled must not depend on the moment at which a worker happens to look."""
    if annotation.gate_queue_status(round_id=round_.id).open == 0:
        return
    step = step_claim(round_, owner="demo")
    if step is None:  # a worker looks at it just now
        return
    given = label(line_id=cast.line.id, wanted=GATE_BATCH, seed=cast.order.seed)
    try:
        step_release(step)
    except ClaimLost:  # a person has cancelled the round meanwhile
        return
    if given:
        advance(str(round_.id))


def _show(round_: Round, narrator: Narrator) -> None:
    step = round_.steps.filter(name=round_.state).first()
    label_text = f"round {round_.number}: {State(round_.state).label.lower()}"
    done, total = (step.progress, step.total) if step is not None else (0, 0)
    narrator.step(f"{round_.number} {round_.state}", label_text, done, total)
