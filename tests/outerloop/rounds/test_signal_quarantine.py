"""Signals stay apart: nothing that learns or judges reads them, by what it finds, asks and imports."""

from __future__ import annotations

import ast
import uuid
from functools import cache
from pathlib import Path

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation import facade as annotation
from annotation.contracts import SnapshotRecipe
from annotation.signals.models import Signal, SignalVote
from outerloop.rounds.models import State
from tests.annotation.factories import label_next, some_pairs
from tests.annotation.signals.conversations import asked, names, thumbs_given

ROOT = Path(__file__).resolve().parents[3]
MANY = 3000
GATE_LABELS = 2
# The only modules outside annotation.signals that may use what the facade says of signals.
READERS = {
    "evaluation/gates/canary_watch.py",  # votes on a canary and beside it
    "evaluation/gates/serving/feedback.py",
    "outerloop/rounds/pages/signals.py",
    "outerloop/rounds/schedule.py",  # an archived line keeps no answers
    "outerloop/rounds/signal_opinion.py",  # a head of their own, which decides nothing
    "outerloop/rounds/signal_views.py",
    "outerloop/rounds/signal_watch.py",
    "outerloop/rounds/tasks.py",
}
# Whether signals are kept at all, and the name under which a user's are: neither says what anybody thinks.
HARMLESS = {"signals_on", "user_hash"}
TOLD_WHETHER = {
    "evaluation/gates/canary_judging.py",
    "evaluation/gates/canary_pages.py",
    "evaluation/gates/services/canaries.py",
    "evaluation/gates/serving/routes.py",
    "outerloop/rounds/canaries.py",
    "outerloop/rounds/pages/round.py",
}
CANARY_WATCHERS = {
    "evaluation/gates/canary_judging.py",
    "evaluation/gates/canary_pages.py",
    "evaluation/gates/services/canaries.py",
}
WATCHERS = {
    "outerloop/rounds/pages/signals.py",
    "outerloop/rounds/signal_api.py",
    "outerloop/rounds/tasks.py",
}


def round_with_gate_labels(loop):
    round_ = loop.round(State.AWAITING_LABELS)
    versions = (loop.base.id, uuid.uuid4())
    some_pairs(loop.campaign, GATE_LABELS, purpose="gate", round_id=round_.id, versions=versions)
    for _ in range(GATE_LABELS):
        label_next(loop.rater, loop.campaign, 6)
    return round_


def flood(loop) -> None:
    """Thumbs, edits and texts, votes of users, and a prompt that is listed for trouble."""
    Signal.objects.bulk_create(
        Signal(
            line_id=loop.line.id, version_id=loop.base.id, completion_id=f"c{i}",
            user=f"u{i % 50}", thumb="down", edit="a better answer", text="<b>bad</b>",
            given_at=timezone.now(),
        )
        for i in range(MANY)
    )  # fmt: skip
    SignalVote.objects.bulk_create(
        SignalVote(period_id=loop.base.id, user=f"u{i}", down=True, counted_at=timezone.now())
        for i in range(50)
    )
    thumbs_given(loop.line.id, loop.base.id, asked("Thanks"), names("calm", 30), "up")
    thumbs_given(loop.line.id, loop.base.id, asked("Why?"), names("u", 9))
    assert annotation.troubled_prompts(line_id=loop.line.id)
    annotation.signal_opinion_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    assert annotation.signal_examples(loop.line.id)


def what_learning_and_judging_read(loop, round_):
    """Prompts, snapshot rows, gate labels, and each count of labels, of the line."""
    line = loop.line.id
    everything = ("train", "validation", "test", "evaluation")
    return (
        list(annotation.preferences_stream(line_id=line, recipe=SnapshotRecipe())),
        list(annotation.gate_labels(round_id=round_.id)),
        annotation.fresh_label_count(line_id=line, since=None),
        annotation.label_summary(line_id=line),
        annotation.queue_status(line_id=line),
        annotation.gate_queue_status(round_id=round_.id),
        annotation.label_shares(line_id=line),
        sorted(str(row) for row in annotation.prompts_stream(line_id=line, splits=everything)),
        annotation.evaluation_prompt_count(line_id=line),
    )


def without_time(read):
    """The shares say when they were counted."""
    return [{**vars(each), "at": None} if hasattr(each, "at") else each for each in read]


def test_thousands_of_signals_change_nothing_that_learns_or_judges(loop):
    round_ = round_with_gate_labels(loop)
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    before = without_time(what_learning_and_judging_read(loop, round_))
    preferences, gate, fresh = before[:3]
    assert preferences
    assert len(gate) == GATE_LABELS
    assert fresh > 0
    flood(loop)
    assert without_time(what_learning_and_judging_read(loop, round_)) == before


def test_a_reader_that_counted_a_signal_as_a_gate_label_would_be_found(loop, monkeypatch):
    """The comparison above can fail."""
    round_ = round_with_gate_labels(loop)
    annotation.signals_switch(line_id=loop.line.id, on=True, actor="a", name="x")
    honest = annotation.gate_labels

    def mixed(*, round_id):
        labels = list(honest(round_id=round_id))
        return [*labels, *labels[: Signal.objects.filter(thumb="down").count()]]

    monkeypatch.setattr(annotation, "gate_labels", mixed)
    before = without_time(what_learning_and_judging_read(loop, round_))
    flood(loop)
    assert without_time(what_learning_and_judging_read(loop, round_)) != before


def asks_for_signals(act) -> bool:
    with CaptureQueriesContext(connection) as asked_for:
        act()
    assert len(asked_for)
    return any('"signals_' in query["sql"] for query in asked_for.captured_queries)


def test_no_query_of_what_learns_or_judges_names_a_table_of_signals(loop):
    round_ = round_with_gate_labels(loop)
    assert not asks_for_signals(lambda: what_learning_and_judging_read(loop, round_))
    for reader in (annotation.line_signals, annotation.troubled_prompts):
        assert asks_for_signals(lambda reader=reader: reader(line_id=loop.line.id))
    assert asks_for_signals(lambda: annotation.signal_examples(loop.line.id))


def names_of_signals() -> set[str]:
    """What the facade takes from annotation.signals."""
    tree = ast.parse((ROOT / "annotation/facade.py").read_text())
    taken = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("annotation.signals")
        for alias in node.names
    }
    assert {"line_signals", "troubled_prompts_add", "signal_votes"} <= taken
    return taken


@cache
def mentioned() -> dict[str, set[str]]:
    """Each product module outside annotation, and the names that it mentions or imports."""
    found = {}
    for package in ("outerloop", "evaluation", "training", "web"):
        for path in (ROOT / package).rglob("*.py"):
            nodes = list(ast.walk(ast.parse(path.read_text())))
            names_ = {getattr(n, "attr", getattr(n, "id", "")) for n in nodes}
            imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
            names_ |= {alias.name for node in imports for alias in node.names}
            found[path.relative_to(ROOT).as_posix()] = names_
    return found


def users_of(wanted: set[str]) -> set[str]:
    """Product modules outside annotation in which one of the names is mentioned."""
    return {path for path, found in mentioned().items() if wanted & found}


def test_only_the_server_the_page_the_alarm_a_canary_and_the_opinion_use_what_the_facade_says_of_signals():
    assert users_of(names_of_signals() - HARMLESS) <= READERS
    assert users_of(names_of_signals()) == READERS | TOLD_WHETHER


def test_only_the_page_the_sweeper_and_the_lead_who_widens_look_at_a_canary_s_votes():
    assert users_of({"canary_watch"}) == CANARY_WATCHERS


def test_only_the_page_the_sweeper_and_the_interface_look_at_the_alarm():
    itself = {"outerloop/rounds/signal_watch.py"}
    assert users_of({"signal_watch", "signal_alarms"}) == WATCHERS | itself


def test_the_second_opinion_is_taken_by_one_step_and_read_by_the_report_and_the_page_alone():
    assert users_of({"opinion_take"}) == {"outerloop/rounds/steps/learning.py"}
    assert users_of({"opinion_of"}) == {"outerloop/rounds/record.py"}
    assert users_of({"opinion_latest"}) == {"outerloop/rounds/pages/signals.py"}
    assert users_of({"RoundOpinion"}) == {"outerloop/rounds/signal_opinion.py"}


def test_nothing_that_measures_for_the_gate_or_decides_knows_of_a_second_opinion():
    """What it found travels in the record of a round, which a gate never reads."""
    assert users_of({"SignalOpinion", "signal_opinion"}) == {
        "evaluation/contracts/__init__.py",
        "evaluation/contracts/record.py",
        "evaluation/recipes/signal_opinion.py",
        "evaluation/reports/pages/report_page.py",
        "evaluation/reports/pages/signal_opinion.py",
        "evaluation/signal_opinion.py",
        "outerloop/rounds/pages/signals.py",
        "outerloop/rounds/signal_opinion.py",
    }
