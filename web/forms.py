"""What forms of several rooms need."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms


def choices_set(form: forms.Form, name: str, choices: Sequence[tuple[str, str]]) -> None:
    """Choices that are known only when the form is made, such as the lines of a person."""
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField), f"{name} is no field of choices"
    field.choices = list(choices)
