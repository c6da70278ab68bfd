"""What a piece of labelling takes, from the terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from evaluation.contracts import GatePolicySettings
from evaluation.gates.design import (
    USUAL_ACCURACY,
    USUAL_AGREEMENT,
    design_forecast,
    design_words,
)
from evaluation.gates.label_plans import planned_and_actual
from evaluation.gates.learning import forecast_words
from evaluation.gates.planning import decision_plan
from evaluation.gates.policies import gate_policy_current
from evaluation.policy import error_level
from evaluation.statistics.design import LabellingQuestion, TooManyLabels, labelling_design
from web.registry import line_names


class Command(BaseCommand):
    help = "Labels, days and cost until a gate decides, before money is spent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--line", type=UUID, help="whose next test it is (a new line's first)")
        add("--agreement", type=float, default=USUAL_AGREEMENT, help="two choose the same side")
        add("--effect", type=float, default=0.6, help="win rate that the gate is to show")
        add("--ties", type=float, default=0.0, help="share of ties in the gate")
        add("--people", type=int, default=8, help="annotators")
        add("--pairs", type=int, default=1000, help="training pairs")
        add("--overlap", type=int, default=1, help="people for each pair")
        add("--sure", type=float, help="ask again until this sure instead")
        add("--most", type=int, default=5, help="people for a pair at most, with --sure")
        add("--sample-share", type=float, default=0.1, help="share judged by more people")
        add("--sample-size", type=int, default=3, help="people for each of those")
        add("--labels-a-day", type=float, default=100.0, help="of all together")
        add("--cost-a-label", type=float, default=0.0, help="in whatever money you reckon with")
        add("--accuracy", type=float, default=USUAL_ACCURACY, help="of the reward model to reach")

    def handle(self, **given: Any) -> None:
        names = LabellingQuestion.__dataclass_fields__.keys() - {"level"}
        line_id, wanted = given["line"], given["accuracy"]
        if line_id and line_id not in {line.id for line in line_names()}:
            raise CommandError(f"There is no line {line_id}; the page of a line shows its id.")
        if not 0.5 < wanted < 1:
            raise CommandError(f"--accuracy must be above 0.5 and below 1, not {wanted!r}.")
        try:
            asked = LabellingQuestion(
                **{name: given[name] for name in names}, level=_level(line_id)
            )
            found = labelling_design(asked)
        except TooManyLabels as error:
            raise CommandError(str(error)) from error
        except ValueError as error:
            raise CommandError(f"--{error}") from error
        forecast = design_forecast(asked, found, line_id=line_id, wanted=wanted)
        for what, how in design_words(found) + forecast_words(forecast):
            self.stdout.write(f"{what:<38}{how}")
        self.stdout.write(f"\nAccuracies: {forecast.learning.says}")
        kept = planned_and_actual(line_id) if line_id else None
        if kept:
            self.stdout.write(f"\nThe plan of {kept.kept_at:%Y-%m-%d}, and since then")
        for what, planned, actual in kept.rows if kept else ():
            self.stdout.write(f"{what:<38}{planned:<24}{actual}")


def _level(line_id: UUID | None) -> float:
    if line_id is None:
        return error_level(0.0, 0, GatePolicySettings().alpha)
    return decision_plan(line_id, gate_policy_current(line_id).gate_settings).level
