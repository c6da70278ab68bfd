"""The design of a piece of labelling on its page: the form, what the line knows, the answer in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms

from evaluation.gates.learning import (
    AccuracyForecast,
    accuracy_forecast,
    forecast_words,
    line_learning,
)
from evaluation.gates.planning import decision_plan
from evaluation.gates.policies import gate_policy_current
from evaluation.statistics.design import (
    LabellingDesign,
    LabellingQuestion,
    TooManyLabels,
    labelling_design,
)

USUAL_AGREEMENT = 0.73  # measured on the crowd votes on convincing arguments
USUAL_ACCURACY = 0.7


class DesignForm(forms.Form):
    """What is expected and wished for; shares from 0 to 1."""

    agreement = forms.FloatField(
        min_value=0.5, max_value=1, initial=USUAL_AGREEMENT, label="Two people choose the same side",
        help_text="From 0.5 (chance) to 1. Crowd votes about arguments have 0.73; the quality page has yours.",
    )  # fmt: skip
    effect = forms.FloatField(
        min_value=0.51, max_value=0.99, initial=0.6, label="Win rate that the gate is to show",
        help_text="Of the candidate's wins among decided labels.",
    )  # fmt: skip
    ties = forms.FloatField(min_value=0, max_value=0.95, label="Share of ties in the gate")
    people = forms.IntegerField(min_value=2, max_value=100_000, label="Annotators")
    pairs = forms.IntegerField(min_value=0, max_value=10**9, initial=1000, label="Training pairs")
    overlap = forms.IntegerField(
        min_value=1, max_value=100, initial=1, label="People for each pair",
        help_text="Where pairs are not asked again by their votes.",
    )  # fmt: skip
    sure = forms.FloatField(
        min_value=0.51, max_value=0.999, required=False, label="Ask again until this sure",
        help_text="As in the campaign's settings, 0.8 for example. Empty: a fixed number of people.",
    )  # fmt: skip
    most = forms.IntegerField(min_value=2, max_value=100, initial=5, label="Then at most")
    sample_share = forms.FloatField(
        min_value=0, max_value=1, initial=0.1, label="Share of pairs judged by more people",
        help_text="On these agreement is measured.",
    )  # fmt: skip
    sample_size = forms.IntegerField(
        min_value=1, max_value=100, initial=3, label="People for each of those"
    )
    labels_a_day = forms.FloatField(min_value=0.1, max_value=10**9, label="Labels a day, together")
    cost_a_label = forms.FloatField(
        min_value=0, max_value=10**6, initial=0, label="Cost of a label",
        help_text="In whatever money you reckon with.",
    )  # fmt: skip
    accuracy = forms.FloatField(
        min_value=0.51, max_value=0.99, initial=USUAL_ACCURACY, label="Accuracy of the reward model to reach",
        help_text="On held-out pairs. What is known of it is said with the answer.",
    )  # fmt: skip


@dataclass(frozen=True)
class DesignPage:
    """`design` and `forecast` are None while the form has errors."""

    test_number: int
    evidence_needed: float
    design: LabellingDesign | None
    forecast: AccuracyForecast | None

    @property
    def words(self) -> list[tuple[str, str]]:
        if self.design is None or self.forecast is None:
            return []
        return design_words(self.design) + forecast_words(self.forecast)


def design_asked(line_id: UUID, query: Any | None) -> tuple[DesignForm, DesignPage]:
    """The form as asked, or with no `query` filled with what the line knows, and its answer."""
    plan = decision_plan(line_id, gate_policy_current(line_id).gate_settings)
    known = {
        "ties": round(plan.ties, 2),
        "people": plan.people,
        "labels_a_day": round(plan.labels_a_day) or 100,
    }
    form = DesignForm({**_initial(), **known} if query is None else query)
    design = forecast = None
    if form.is_valid():
        asked = dict(form.cleaned_data)
        wanted = asked.pop("accuracy")
        try:
            question = LabellingQuestion(**asked, level=plan.level)
            design = labelling_design(question)
            forecast = design_forecast(question, design, line_id=line_id, wanted=wanted)
        except TooManyLabels as error:
            form.add_error("effect", str(error))
    return form, DesignPage(plan.test_number, plan.evidence_needed, design, forecast)


def design_forecast(
    asked: LabellingQuestion, found: LabellingDesign, *, line_id: UUID | None, wanted: float
) -> AccuracyForecast:
    """What the design's labels make of a reward model."""
    return accuracy_forecast(
        line_learning(line_id),
        wanted=wanted,
        training_labels=found.training_labels,
        agreement=asked.agreement,
        labels_a_day=asked.labels_a_day,
        cost_a_label=asked.cost_a_label,
    )


def _initial() -> dict[str, Any]:
    return {name: field.initial for name, field in DesignForm.base_fields.items()}


def design_words(found: LabellingDesign) -> list[tuple[str, str]]:
    """(what, how much) for the page and the terminal."""
    reach = "not measured: no pair gets two votes whatever they say"
    if found.agreement_reach is not None:
        reach = f"to within ± {100 * found.agreement_reach:.1f} percentage points, on {found.sample_pairs:,} pairs"
    return [
        ("Labels in all", f"about {found.labels:,}"),
        ("Days", f"about {found.days:,}"),
        *([("Cost", f"about {found.cost:,.2f}")] if found.cost else []),
        ("Labels for training", f"about {found.training_labels:,}"),
        ("Votes a training pair", f"{found.votes_a_pair:.2f} outside the sample"),
        ("The majority of a pair is right", f"{found.majority_right:.0%} of the time"),
        ("Labels for the gate", f"about {found.gate_labels:,}, to show the win rate four times in five"),
        ("The least a gate could take", f"{found.gate_limit:,}, in a test that is looked at once"),
        ("Agreement will be known", reach),
    ]  # fmt: skip
