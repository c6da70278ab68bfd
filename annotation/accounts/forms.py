"""Forms of the people page."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms

from web.access import LEAD, lines_of
from web.forms import choices_set
from web.registry import line_names

from .models import Role, User
from .tokens import LONGEST_DAYS

EVERY_LINE = ""


def _line_choices(lead: Any) -> list[tuple[str, str]]:
    """The lines that this lead may give roles on; every line at once only for a lead of every line."""
    allowed = lines_of(lead, LEAD)
    named = [(str(line.id), line.name) for line in line_names(allowed)]
    if allowed is None:
        return [(EVERY_LINE, "every line"), *named]
    known = {value for value, _ in named}
    return named + [(str(line), str(line)[:8]) for line in allowed if str(line) not in known]


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)
    line = forms.ChoiceField(label="On", required=False)

    def __init__(self, *args: Any, lead: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = _line_choices(lead)
        choices_set(self, "line", self.lines)

    def clean_line(self) -> uuid.UUID | None:
        value = self.cleaned_data["line"]
        if value not in {line for line, _ in self.lines}:
            raise forms.ValidationError("You may give roles only on the lines that you lead.")
        return uuid.UUID(value) if value else None


class PersonForm(RoleForm):
    username = forms.CharField(
        max_length=150, label="User name", validators=[User.username_validator]
    )
    email = forms.EmailField(label="E-mail address")
    field_order = ["username", "email", "role", "line"]

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        if User.objects.filter(username__iexact=name).exists():
            raise forms.ValidationError("Somebody has this user name already.")
        return name

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if User.objects.filter(email__iexact=email).exists():
            raise forms.ValidationError("Somebody has this e-mail address already.")
        return email


class TokenForm(forms.Form):
    name = forms.CharField(max_length=60, help_text="What uses it, for example: nightly report.")
    days = forms.IntegerField(
        min_value=1, max_value=LONGEST_DAYS, initial=90, label="Valid for (days)"
    )


class PreferencesForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("one_gesture",)
        help_texts = {
            "one_gesture": "On the compare page 1 to 7, or a click on the scale, submits at once. For three"
            " seconds U takes the vote back before it is sent; later U still undoes it. Where a campaign asks"
            " for more than which answer is better overall, you submit as usual."
        }


class EraseForm(forms.Form):
    """Typing the user name is the question "are you sure", asked in a way that cannot be clicked past."""

    reasons = forms.ChoiceField(
        label="What they wrote beside their answers",
        choices=[
            ("keep", "Keep it: reasons explain labels"),
            ("remove", "Remove it too: it may tell who they are"),
        ],
        initial="keep",
    )
    username = forms.CharField(
        label="Type the user name to confirm",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )

    def __init__(self, *args: Any, username: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._expected = username

    def clean_username(self) -> str:
        typed: str = self.cleaned_data["username"]
        if typed != self._expected:
            raise forms.ValidationError("This is not the user name of the person.")
        return typed
