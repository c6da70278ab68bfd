"""Forms of the campaign pages; a wrong value is answered beside its field."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.utils.text import slugify

from web.access import STAFF, lines_of
from web.forms import choices_set
from web.registry import line_name, line_names

from .models import Campaign

SETTINGS = (
    "name",
    "daily_goal",
    "label_budget",
    "overlap",
    "overlap_sample_share",
    "overlap_sample_size",
    "gate_share",
    "gold_share",
    "repeat_share",
    "lease_minutes",
    "sensitive_warning",
)
LABELS = {
    "daily_goal": "Answers a day, for each person",
    "label_budget": "Answers in all",
    "overlap": "People for each pair",
    "overlap_sample_share": "Share of pairs judged by more people",
    "overlap_sample_size": "People for each of those",
    "gate_share": "Share of gate pairs",
    "gold_share": "Share of gold items",
    "repeat_share": "Share of repeats",
    "lease_minutes": "Minutes a pair is held for a person",
    "sensitive_warning": "Warning before sensitive content",
}
HELP = {
    "daily_goal": "Shown as progress; nobody is stopped at it.",
    "label_budget": "The queue gives out nothing beyond it. Empty: no limit.",
    "overlap_sample_share": "From 0 to 1; agreement between people is measured on these.",
    "gate_share": "From 0 to 1: how often the queue draws a pair that decides on a candidate.",
    "gold_share": "From 0 to 1: pairs whose answer is known.",
    "repeat_share": "From 0 to 1: the person's own earlier pairs with sides flipped.",
    "lease_minutes": "After that it goes back to the queue; a late answer is kept as surplus.",
    "sensitive_warning": "Shown once before the first pair, with the way out. Empty: none.",
}


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Campaign
        fields = SETTINGS
        labels = LABELS
        help_texts = HELP
        widgets = {"sensitive_warning": forms.Textarea(attrs={"rows": 2})}


def line_choices(user: Any, *roles: str) -> list[tuple[str, str]]:
    """The lines on which the person holds one of the roles; those of campaigns too, named or not."""
    allowed = lines_of(user, *(roles or STAFF))
    named = {line.id: line.name for line in line_names(allowed)}
    known = Campaign.objects.values_list("line", flat=True).distinct()
    for line in known if allowed is None else [*known.filter(line__in=allowed), *allowed]:
        named.setdefault(line, line_name(line))
    return [(str(line), name) for line, name in named.items()]


def criteria_read(text: str) -> list[tuple[str, str]]:
    """One criterion a line, as (key, name)."""
    names = [line.strip() for line in text.splitlines() if line.strip()]
    keys = [slugify(name)[:40] for name in names]
    if not all(keys) or len(set(keys)) != len(keys):
        raise forms.ValidationError("Give each criterion a line and a name of its own, in letters.")
    return list(zip(keys, names, strict=True))


class CampaignForm(forms.Form):
    name = forms.CharField(max_length=120)
    line = forms.ChoiceField(
        label="Policy line", help_text="Its reward model learns from the answers."
    )
    criteria = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label="Criteria beside the overall preference",
        help_text="One a line, for example Honest. They are optional for the annotator.",
    )
    guidelines = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text="What makes one answer better than another, in Markdown. Everyone reads it first.",
    )
    daily_goal = forms.IntegerField(min_value=1, initial=100, label=LABELS["daily_goal"])
    overlap = forms.IntegerField(min_value=1, max_value=20, initial=1, label=LABELS["overlap"])

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices_set(self, "line", line_choices(user))

    def clean_line(self) -> uuid.UUID:
        return uuid.UUID(self.cleaned_data["line"])

    def clean_criteria(self) -> list[tuple[str, str]]:
        return criteria_read(self.cleaned_data["criteria"])


class GuidelinesForm(forms.Form):
    text = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 18}),
        label="Guidelines",
        help_text="Markdown. Published text never changes; this becomes the next version.",
    )
    change_note = forms.CharField(
        max_length=300,
        required=False,
        label="What changed",
        help_text="Shown to everyone who has read the version before.",
    )
