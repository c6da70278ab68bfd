"""What the gate reads of the runs that made candidates, from stored figures of real rows."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from evaluation.contracts import CheckpointRewards, RoundRecord
from evaluation.gates.checkpoints import kl_optimum, run_mismatch
from evaluation.gates.measuring import round_measure
from evaluation.gates.recording import record_judged
from evaluation.gates.records import JudgedRound
from tests.evaluation.gates.world import LineWorld, a_test, policy_create, run_left, sampled
from tests.evaluation.policy.evidence import POLICY
from training.runs.models import ModelVersion, Run, RunEventRow

Figures = Mapping[str, float | None]


def figures(train: float | None, held_out: float | None, kl: float = 1.0) -> Figures:
    return {"reward_train": train, "reward_held_out": held_out, "kl_k3": kl}


def run_of(
    world: LineWorld,
    version: UUID,
    rows: Sequence[tuple[str, int, Figures]],
    *,
    kind: str = "ppo",
    kept: int | None = None,
) -> Run:
    """A finished run that made `version` and reported (phase, step, figures); `kept` updates are in it."""
    run = Run.objects.create(
        line=world.line, kind=kind, state="succeeded", seed=1, spec={}, spec_sha256="s",
        manifest={"results": {"updates": kept}},
    )  # fmt: skip
    RunEventRow.objects.bulk_create(
        RunEventRow(
            run=run, seq=seq, at=timezone.now(), phase=phase, step=step, total_steps=20,
            metrics=dict(told),
        )
        for seq, (phase, step, told) in enumerate(rows, start=1)
    )  # fmt: skip
    ModelVersion.objects.filter(pk=version).update(run=run)
    return run


def ats(found: Any) -> list[int]:
    return [point.at for point in found.checkpoints]


def test_ppo_reports_the_policy_before_each_update_and_the_kept_one_at_the_end(
    world: LineWorld,
) -> None:
    rows = [("start", 1, {}), *(("ppo", s, figures(0.1 * s, 0.2)) for s in (1, 2, 3))]
    run_of(world, world.candidate.id, [*rows, ("final", 1, figures(0.9, 0.8))], kept=3)
    found = run_mismatch(world.candidate.id)
    assert found is not None
    assert ats(found) == [0, 1, 2, 3]
    assert found.checkpoints[0] == CheckpointRewards(0, 0.1, 0.2)
    assert found.checkpoints[-1] == CheckpointRewards(3, 0.9, 0.8)
    assert found.correlation is None


def test_what_was_learned_after_the_kept_policy_says_nothing_of_the_candidate(
    world: LineWorld,
) -> None:
    """Kept after one update, at the best held-out reward; later ones parted."""
    rows = [("ppo", s, figures(0.1 * s, 0.5 - 0.1 * abs(s - 2))) for s in range(1, 7)]
    run_of(world, world.candidate.id, [*rows, ("final", 1, rows[1][2])], kept=1)
    found = run_mismatch(world.candidate.id)
    assert found is not None
    assert (ats(found), found.parted) == ([0, 1], 0)


def test_steps_of_dpo_are_counted_as_they_are_and_a_resumed_step_counts_once(
    world: LineWorld,
) -> None:
    rows = [
        ("dpo", 0, figures(0.0, 0.0)),
        ("dpo", 40, figures(9.0, 9.0)),
        ("train", 44, {"loss": 1.0}),
    ]
    rows += [("dpo", 40, figures(0.4, 0.3)), ("dpo", 80, figures(0.6, None))]
    rows += [("final", 1, figures(0.6, None))]
    run_of(world, world.candidate.id, rows, kind="dpo", kept=80)
    found = run_mismatch(world.candidate.id)
    assert found is not None
    assert found.checkpoints == (CheckpointRewards(0, 0.0, 0.0), CheckpointRewards(40, 0.4, 0.3))


@pytest.mark.parametrize(
    ("held_out", "expected"),
    [
        ((0.0, 0.5, 0.4, 0.3, 0.2), 3),  # fell at the last three steps
        ((0.0, 0.5, 0.4, 0.3, 0.35), 0),  # and rose again
        ((0.5, 0.4, 0.6, 0.5, 0.5), 0),  # standing still is no fall
    ],
)
def test_rewards_part_at_the_candidate_while_one_rises_and_the_other_falls(
    world: LineWorld, held_out: tuple[float, ...], expected: int
) -> None:
    rows = [("ppo", s, figures(0.1 * s, held)) for s, held in enumerate(held_out, start=1)]
    run_of(world, world.candidate.id, rows, kept=4)
    found = run_mismatch(world.candidate.id)
    assert found is not None
    assert found.parted == expected


def test_twelve_checkpoints_have_a_correlation_of_steps_and_the_same_one_at_every_look(
    world: LineWorld,
) -> None:
    waves = [("ppo", s, figures(math.sin(s * s), 2 * math.sin(s * s) - 1)) for s in range(1, 13)]
    run_of(world, world.candidate.id, waves, kept=11)
    found = run_mismatch(world.candidate.id)
    assert found is not None
    assert found.correlation is not None
    assert found.correlation.estimate == pytest.approx(1.0)  # the same steps, twice as large
    assert (found.correlation.level, found.correlation.n) == (0.9, 11)
    assert run_mismatch(world.candidate.id) == found


def test_a_reward_that_stands_still_has_no_correlation(world: LineWorld) -> None:
    rows = [("ppo", s, figures(0.1 * s, 0.3)) for s in range(1, 14)]
    run_of(world, world.candidate.id, rows, kept=12)
    found = run_mismatch(world.candidate.id)
    assert found is not None
    assert found.correlation is None


def test_a_policy_from_elsewhere_or_without_a_held_out_model_has_no_mismatch(
    world: LineWorld,
) -> None:
    assert run_mismatch(world.incumbent.id) is None
    run_of(world, world.candidate.id, [("ppo", s, figures(0.1 * s, None)) for s in range(1, 14)])
    assert run_mismatch(world.candidate.id) is None
    run_of(world, world.candidate.id, [("sft", s, {"loss": 1.0}) for s in range(1, 14)], kind="sft")
    assert run_mismatch(world.candidate.id) is None


# ------------------------------------------------------------------------ the forecast


def law_rows(*, upto: float, start: float = 0.2, kind: str = "ppo") -> list[tuple[str, int, Figures]]:  # fmt: skip
    """A held-out reward of d (1.2 - 0.8 log d): highest at e nats."""
    rows = []
    for step in range(15):
        kl = upto * step / 14
        d = math.sqrt(kl)
        gain = d * (1.2 - 0.8 * math.log(d)) if d else 0.0
        rows.append((kind, step + (kind == "ppo"), figures(0.1 * step, start + gain, kl)))
    return rows


def decided(world: LineWorld, number: int, *, upto: float = 9.0, kind: str = "ppo") -> UUID:
    """An earlier round with a decision on a candidate of its own."""
    version = policy_create(world.line, world.folder, f"candidate of round {number}").id
    run_of(world, version, law_rows(upto=upto, kind=kind), kind=kind, kept=14)
    world.decide(round_id=uuid.uuid4(), number=number, candidate=version)
    return version


@pytest.fixture
def fourth(world: LineWorld) -> JudgedRound:
    """Round 4, whose own candidate PPO made."""
    run_of(world, world.candidate.id, law_rows(upto=3.0), kept=14)
    return world.judged(number=4)


def test_the_optimum_is_that_of_the_law_of_all_earlier_rounds_together(
    world: LineWorld, fourth: JudgedRound
) -> None:
    for number, upto in ((1, 9.0), (2, 2.0), (3, 5.0)):
        decided(world, number, upto=upto)
    found = kl_optimum(fourth)
    assert found is not None
    assert found.nats == pytest.approx(math.e)
    assert found.rounds == (1, 2, 3)


def test_no_optimum_without_earlier_rounds_or_where_they_were_still_rising(
    world: LineWorld, fourth: JudgedRound
) -> None:
    assert kl_optimum(fourth) is None
    decided(world, 1, upto=2.5)
    assert kl_optimum(fourth) is None
    decided(world, 2, upto=4.0)
    assert kl_optimum(fourth) is not None


def test_this_round_later_ones_and_other_lines_say_nothing(
    world: LineWorld, fourth: JudgedRound
) -> None:
    decided(world, 4)
    decided(world, 5)
    other = LineWorld(world.folder / "elsewhere")
    decided(other, 1)
    assert kl_optimum(fourth) is None


def test_runs_by_another_optimiser_are_left_out_and_best_of_n_has_no_forecast(
    world: LineWorld, fourth: JudgedRound
) -> None:
    decided(world, 1, kind="dpo")
    assert kl_optimum(fourth) is None
    decided(world, 2)
    found = kl_optimum(fourth)
    assert found is not None
    assert found.rounds == (2,)
    third = decided(world, 3, kind="best_of_n")
    assert kl_optimum(world.judged(number=4, candidate=third)) is None
    assert kl_optimum(world.judged(number=4, candidate=world.incumbent.id)) is None  # imported


def test_the_last_ten_decided_rounds_count_each_once(world: LineWorld, fourth: JudgedRound) -> None:
    for number in range(1, 14):
        version = decided(world, number)
        if number == 13:  # decided a second time, on more labels
            row = world.decide(number=number, candidate=version)
            world.decide(round_id=row.round, number=number, candidate=version, labels_to_flip=7)
    found = kl_optimum(world.judged(number=14))
    assert found is not None
    assert found.rounds == tuple(range(4, 14))


def test_the_forecast_takes_few_queries_however_long_the_line_is(
    world: LineWorld, django_assert_max_num_queries: Any
) -> None:
    for number in range(1, 14):
        version = decided(world, number)
    with django_assert_max_num_queries(48):  # four a round, of ten and of this one, and one for all
        kl_optimum(world.judged(number=14, candidate=version))


def test_a_round_is_measured_with_both_and_a_look_later_finds_the_same(
    world: LineWorld, fourth: JudgedRound, artifacts: Path
) -> None:
    """And its report is given what the gate used."""
    decided(world, 3)
    policy_run = run_left(artifacts, measurements=POLICY.to_json(), samples=sampled([]))
    judged = replace(fourth, policy_run=policy_run)
    first, second = (round_measure(judged, a_test(judged, world.settings)) for _ in "12")
    assert first.kl_optimum == second.kl_optimum == kl_optimum(judged) is not None
    assert first.mismatch == second.mismatch == run_mismatch(world.candidate.id) is not None
    world.decide(number=4, kl_optimum=first.kl_optimum, mismatch=first.mismatch)
    record = RoundRecord(
        line="l", number=4, state="DECIDED", created_at="2026-03-01T12:00:00+00:00"
    )
    told = record_judged(record, world.judged(number=4))
    assert (told.kl_optimum, told.mismatch) == (first.kl_optimum, first.mismatch)
