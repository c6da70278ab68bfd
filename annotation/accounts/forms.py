"""Forms of the people page."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms

from outerloop.web.access import LEAD, lines_of
from outerloop.web.lines import line_names

from .models import Role, User

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
        self.fields["line"].choices = _line_choices(lead)  # type: ignore[attr-defined]

    def clean_line(self) -> uuid.UUID | None:
        value = self.cleaned_data["line"]
        choices = self.fields["line"].choices  # type: ignore[attr-defined]
        if value not in {choice for choice, _ in choices}:
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
