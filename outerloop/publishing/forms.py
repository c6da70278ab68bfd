"""The form that orders a push; a wrong value is answered beside its field."""

from __future__ import annotations

from typing import Any

from django import forms

from web.forms import choices_set

from .models import Destination
from .names import name_problem
from .services import destination_problem


class PushForm(forms.Form):
    destination = forms.ChoiceField(label="To", widget=forms.RadioSelect)
    name = forms.CharField(
        max_length=200,
        help_text="On a hub owner/name of the repository, which is made where there is none; in a registry"
        " the name of the model, which gets a new version.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocomplete": "off"}),
    )
    private = forms.BooleanField(
        required=False,
        initial=True,
        label="Private, where the hub makes a new repository",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.problems = {each: destination_problem(each) for each in Destination}
        usable = [(each.value, each.label) for each, why in self.problems.items() if not why]
        choices_set(self, "destination", usable)
        if len(usable) == 1:
            self.initial.setdefault("destination", usable[0][0])

    @property
    def usable(self) -> bool:
        return not all(self.problems.values())

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        destination, name = cleaned.get("destination"), cleaned.get("name")
        if destination and name and (wrong := name_problem(destination, name)):
            self.add_error("name", wrong)
        return cleaned
