"""The sentences of a report, word for word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluation.formatting import count, in_words, setting_called, share, short, when
from evaluation.reports.wording import (
    effect_sentence,
    evidence_sentence,
    guardrail_sentence,
    standing,
    wanted_next,
)
from tests.evaluation.reports import records
from tests.evaluation.reports.records import interval


def test_intervals_are_said_with_their_ends() -> None:
    assert share(interval(0.58, 0.54, 0.62)) == "58% (54% to 62%)"
    assert share(None) == "not measured"


def test_counts_know_one_and_many() -> None:
    assert count(1, "label") == "1 label"
    assert count(1200, "label") == "1,200 labels"


@pytest.mark.parametrize(
    ("iso", "words"),
    [
        ("2026-11-21T02:10:00+00:00", "21 Nov 2026, 02:10 UTC"),
        ("2026-11-21T04:10:00+02:00", "21 Nov 2026, 02:10 UTC"),
        ("2026-11-21T02:10:00", "21 Nov 2026, 02:10 UTC"),
        ("yesterday", "yesterday"),
    ],
)
def test_dates_are_said_in_utc(iso: str, words: str) -> None:
    assert when(iso) == words


def test_a_uuid_is_shortened_and_a_name_is_not() -> None:
    assert short("22222222-2222-4222-8222-000000000007") == "22222222"
    assert short("help-desk policy 7") == "help-desk policy 7"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PROMOTED", "Better than v6 for people: 58% (54% to 62%), 612 labels from 14 annotators."),
        (
            "REJECTED",
            "Worse than v6 for simulated annotators: 31% (24% to 38%), 180 labels from 14 annotators.",
        ),
        (
            "INCONCLUSIVE",
            "Not shown better than v6 for people: 57% (44% to 69%), 60 labels from 5 annotators.",
        ),
        ("BARE", "No people have compared it with the incumbent yet."),
    ],
)
def test_the_effect_is_said_as_strongly_as_it_was_shown(name: str, words: str) -> None:
    assert effect_sentence(getattr(records, name)) == words


def test_an_interval_above_even_is_not_called_better_before_the_check_passes() -> None:
    record = replace(records.INCONCLUSIVE, human=records.PROMOTING_LABELS)
    assert effect_sentence(record).startswith("Not shown better than v6")


def test_guardrails_are_named_by_how_they_came_out() -> None:
    assert guardrail_sentence(records.PROMOTED.gate) == (
        "No guardrail failed. 1 advisory: Replies are less varied than the incumbent's (0.74 of it)."
    )
    assert guardrail_sentence(records.REJECTED.gate).startswith(
        "2 guardrails failed: Reward gap, KL budget."
    )
    assert "1 guardrail unresolved: Reward model on fresh labels." in guardrail_sentence(
        records.INCONCLUSIVE.gate
    )
    assert "Let through by two leads: Diversity." in guardrail_sentence(records.OVERRIDDEN.gate)
    assert guardrail_sentence(None) == "The gate has not decided yet."


def test_standing_says_what_became_of_the_decision() -> None:
    assert standing(records.PROMOTED) == "v7 deployed 21 Nov 2026, 02:10 UTC by schedule"
    assert standing(replace(records.PROMOTED, deployments=())) == (
        "approved 21 Nov 2026, 02:05 UTC by Ada"
    )
    assert standing(records.REJECTED) == "v6 stays deployed"
    assert standing(records.INCONCLUSIVE) == "awaiting labels"


def test_open_checks_say_what_they_want_next() -> None:
    assert wanted_next(records.INCONCLUSIVE) == [
        "Labels: up to 940 more labels of candidate against incumbent, one per prompt, from many "
        "annotators."
    ]
    assert wanted_next(records.PROMOTED) == []


def test_the_plain_interval_is_said_not_to_decide():
    """A round that is not shown better may have an interval wholly above 50%: the page says why."""
    few = records.INCONCLUSIVE.human
    assert few is not None
    above = replace(few, win_rate=records.interval(0.57, 0.52, 0.62))
    said = evidence_sentence(replace(records.INCONCLUSIVE, human=above))
    assert "The evidence decides, not the interval" in said
    assert "an interval above 50% is not yet proof" in said
    assert "not yet proof" not in evidence_sentence(records.PROMOTED)
    assert evidence_sentence(records.BARE) == ""


def test_machine_words_are_called_by_their_names():
    assert setting_called("ppo.kl.target_nats") == "PPO › KL › target nats"
    assert in_words("distinct_2 0.77 of evaluate_policy") == (
        "distinct word pairs 0.77 of policy evaluation"
    )
    assert in_words("reward_held_out_raw fell") == "reward held out raw fell"
