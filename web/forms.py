"""What forms of several rooms need."""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme


def choices_set(form: forms.Form, name: str, choices: Sequence[tuple[str, str]]) -> None:
    """Choices that are known only when the form is made, such as the lines of a person."""
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField), f"{name} is no field of choices"
    field.choices = list(choices)


def redirect_back(request: HttpRequest, to: str, *place: object) -> HttpResponse:
    """To the page whose form was posted, where it named itself as `next`; else to the page named `to`."""
    following = request.POST.get("next", "")
    inside = following.startswith("/") and url_has_allowed_host_and_scheme(following, None)
    return redirect(following) if inside else redirect(to, *place)
