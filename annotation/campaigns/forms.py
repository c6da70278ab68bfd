"""Forms of the campaign pages; a wrong value is answered beside its field."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.utils.text import slugify

from annotation.contracts import AnnotationError
from web.access import STAFF, lines_of
from web.forms import choices_set
from web.registry import NamedLine, line_name, line_names

from .figures import span_keys_used
from .models import FEWEST_RANKED, MOST_RANKED, MOST_TURNS, PAIR, Campaign
from .services import RANKS_OVERALL
from .span_labels import COLOURS, labels_missing, labels_read, labels_text

# Settings of what compares two answers: a campaign that ranks has none of it.
OF_PAIRS = (
    "overlap_sure",
    "overlap_most",
    "gate_share",
    "gold_share",
    "gold_feedback",
    "repeat_share",
    "adjudication_share",
    "qualification_items",
    "qualification_pass",
    "qualification_tries",
)
ANSWERS = [
    (PAIR, "Two, compared on a scale"),
    *((n, f"{n}, put in order") for n in range(FEWEST_RANKED, MOST_RANKED + 1)),
]
OF_CONVERSATIONS = ("turns", "opening")
SETTINGS = (
    "name",
    *OF_CONVERSATIONS,
    "daily_goal",
    "label_budget",
    "due_on",
    "answer_price",
    "hour_price",
    "overlap",
    "overlap_sample_share",
    "overlap_sample_size",
    *OF_PAIRS,
    "lease_minutes",
    "sensitive_warning",
    "markdown",
    "span_labels",
)
LABELS = {
    "turns": "Turns of a conversation",
    "opening": "What to write about",
    "daily_goal": "Answers a day, for each person",
    "label_budget": "Answers in all",
    "due_on": "Wanted by",
    "answer_price": "Cost of an answer",
    "hour_price": "Cost of an hour on pairs",
    "overlap": "People for each pair",
    "overlap_sample_share": "Share of pairs judged by more people",
    "overlap_sample_size": "People for each of those",
    "overlap_sure": "Ask again until this sure",
    "overlap_most": "People for a pair at most, when asking again",
    "gate_share": "Share of gate pairs",
    "gold_share": "Share of gold items",
    "gold_feedback": "Tell people after a wrong answer to a gold item",
    "repeat_share": "Share of repeats",
    "adjudication_share": "Share of votes for the other side that calls an adjudicator",
    "qualification_items": "Gold items in the qualification test",
    "qualification_pass": "Share of them answered right to pass",
    "qualification_tries": "Tries at the test",
    "lease_minutes": "Minutes a pair is held for a person",
    "sensitive_warning": "Warning before sensitive content",
    "markdown": "Texts are Markdown",
    "span_labels": "Labels for marking parts of an answer",
}
HELP = {
    "turns": f"From 1 to {MOST_TURNS}; then the conversation is over and another can be begun.",
    "opening": "Shown above the first message, in Markdown. Empty: people write about what they like.",
    "daily_goal": "Shown as progress; nobody is stopped at it.",
    "label_budget": "The queue gives out nothing beyond it. Empty: no limit.",
    "due_on": "The progress page holds the pace against it.",
    "answer_price": "Of a person, in your currency; the progress page adds it up. Empty: none.",
    "hour_price": "The same for time on pairs, as it is kept for pay. Empty: none.",
    "overlap_sample_share": "From 0 to 1; agreement between people is measured on these.",
    "overlap_sure": "A probability such as 0.8: two who agree are enough, else more are asked. Empty: a fixed number.",
    "overlap_most": "Then a pair stays undecided; it can go to an adjudicator.",
    "gate_share": "From 0 to 1: how often the queue draws a pair that decides on a candidate.",
    "gold_share": "From 0 to 1: pairs whose answer is known.",
    "gold_feedback": "With the right answer and its explanation. They learn from it, and which pairs are gold.",
    "repeat_share": "From 0 to 1: the person's own earlier pairs with sides flipped.",
    "adjudication_share": "From 0.01 to 0.5, of the decided votes on a pair: 0.3 is one of three.",
    "qualification_items": "Asked before a person's first pair; the right answer is told after each. 0: no test.",
    "qualification_pass": "From 0.01 to 1.",
    "lease_minutes": "After that it goes back to the queue; a late answer is kept as surplus.",
    "sensitive_warning": "Only those who agree to it are shown pairs; changed words are asked about anew. Empty: none.",
    "markdown": "Where not, the compare page shows them as they were written. Each person can change it.",
    "span_labels": (
        "One a line, at most nine: Wrong fact | red | Something that is not so. Colour"
        f" ({', '.join(COLOURS)}) and help may be left out; people choose a label by its place. Empty: no marks."
    ),
}


GOLD_SHARE: float = Campaign._meta.get_field("gold_share").default


class SpanLabelsField(forms.CharField):
    """The labels of marks, one a line, as `span_labels.labels_checked` gives them."""

    def __init__(self) -> None:
        super().__init__(
            required=False,
            max_length=4000,
            widget=forms.Textarea(attrs={"rows": 4}),
            label=LABELS["span_labels"],
            help_text=HELP["span_labels"],
        )

    def prepare_value(self, value: Any) -> Any:
        return labels_text(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        try:
            return labels_read(super().to_python(value) or "")
        except AnnotationError as error:
            raise forms.ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or []))
        except forms.ValidationError:
            return True


class SettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    span_labels = SpanLabelsField()

    class Meta:
        model = Campaign
        fields = SETTINGS
        labels = LABELS
        help_texts = HELP
        widgets = {
            "sensitive_warning": forms.Textarea(attrs={"rows": 2}),
            "opening": forms.Textarea(attrs={"rows": 3}),
            "due_on": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.ranks:
            for name in OF_PAIRS:
                del self.fields[name]
        if self.instance.converses:
            self.fields["turns"].required = True
            del self.fields["gate_share"]
        else:
            for name in OF_CONVERSATIONS:
                del self.fields[name]

    def clean_span_labels(self) -> Any:
        """A label that marks were made with stays, under its name."""
        labels = self.cleaned_data["span_labels"]
        if gone := labels_missing(labels, span_keys_used(campaign=self.instance)):
            raise forms.ValidationError(
                f"Parts are marked with {', '.join(gone)} already: a label that is used keeps its line and its name."
            )
        return labels


def line_choices(user: Any, *roles: str) -> list[tuple[str, str]]:
    """The lines on which the person holds one of the roles; those of campaigns too, named or not; none
    that is archived, or of which all campaigns are and that has no name."""
    allowed = lines_of(user, *(roles or STAFF))
    named = {line.id: line for line in line_names(allowed)}
    known = Campaign.objects.filter(archived_at=None).values_list("line", flat=True).distinct()
    for line in known if allowed is None else [*known.filter(line__in=allowed), *allowed]:
        named.setdefault(line, NamedLine(line, line_name(line)))
    return [(str(line.id), line.name) for line in named.values() if not line.archived]


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
    answers = forms.TypedChoiceField(
        choices=ANSWERS,
        coerce=int,
        required=False,
        initial=PAIR,
        label="Answers to each prompt",
        help_text="Fixed from now on. Gate pairs, gold items and repeats are for campaigns of two answers.",
    )
    turns = forms.IntegerField(
        min_value=1,
        max_value=MOST_TURNS,
        required=False,
        label="Turns of a live conversation",
        help_text=(
            "A number: people write to the deployed policy, compare its two answers, and the better one goes"
            " on, so many times at most. Empty: the pairs come from the loop or from imports."
        ),
    )
    opening = forms.CharField(
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=LABELS["opening"],
        help_text="Of a conversation: shown above the first message, in Markdown. It can be left empty.",
    )
    criteria = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        label="Criteria beside the overall preference",
        help_text="One a line, for example Honest. They are optional for the annotator.",
    )
    span_labels = SpanLabelsField()
    guidelines = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 10}),
        help_text="What makes one answer better than another, in Markdown. Everyone reads it first.",
    )
    daily_goal = forms.IntegerField(
        min_value=1, initial=100, label=LABELS["daily_goal"], help_text=HELP["daily_goal"]
    )
    overlap = forms.IntegerField(min_value=1, max_value=20, initial=1, label=LABELS["overlap"])
    label_budget = forms.IntegerField(
        min_value=1,
        max_value=2_000_000_000,
        required=False,
        label=LABELS["label_budget"],
        help_text=HELP["label_budget"],
    )
    gold_share = forms.FloatField(
        min_value=0,
        max_value=0.45,  # beside the shares of gate pairs and repeats that a campaign begins with
        required=False,
        initial=GOLD_SHARE,
        label=LABELS["gold_share"],
        help_text=HELP["gold_share"],
    )
    gold_feedback = forms.BooleanField(
        required=False, label=LABELS["gold_feedback"], help_text=HELP["gold_feedback"]
    )

    def __init__(
        self, *args: Any, user: Any, line_id: uuid.UUID | None = None, **kwargs: Any
    ) -> None:
        """With `line_id` the campaign is one of this line, and the form does not ask."""
        super().__init__(*args, **kwargs)
        self.line_id = line_id
        if line_id is None:
            choices_set(self, "line", line_choices(user))
        else:
            del self.fields["line"]

    def clean_line(self) -> uuid.UUID:
        return uuid.UUID(self.cleaned_data["line"])

    def clean_answers(self) -> int:
        return self.cleaned_data["answers"] or PAIR

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if data.get("answers", PAIR) != PAIR and data.get("criteria"):
            self.add_error("criteria", RANKS_OVERALL)
        self._conversation_check(data)
        data["gold_share"] = self._gold_share(data)
        return data if self.line_id is None else {**data, "line": self.line_id}

    def _conversation_check(self, data: dict[str, Any]) -> None:
        if "turns" in self.errors:
            return
        if data.get("turns") is None and data.get("opening"):
            self.add_error("opening", "It is for conversations: say how many turns they have.")
        if data.get("turns") is not None and data.get("answers", PAIR) != PAIR:
            self.add_error(
                "turns", "A conversation compares two answers: leave this empty to rank."
            )

    def _gold_share(self, data: dict[str, Any]) -> float:
        """Of pairs a share is gold unless another is said; a campaign that ranks has none."""
        share: float | None = data.get("gold_share")
        if data.get("answers", PAIR) == PAIR:
            return GOLD_SHARE if share is None else share
        if share not in (None, 0, GOLD_SHARE):
            self.add_error("gold_share", "Gold items compare two answers: leave this at 0.")
        return 0.0

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
