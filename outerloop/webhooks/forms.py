"""Forms of the webhook pages; a wrong value is answered beside its field."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms

from outerloop.rounds.models import PolicyLine
from web.access import LEAD, lines_of
from web.forms import choices_set
from web.outgoing import LONGEST_URL, OutgoingRefused, target_of
from web.registry import lines_offered

from .services import LONGEST_NAME, kinds_offered

WHOLE_SITE = "site"


class WebhookForm(forms.Form):
    name = forms.CharField(
        max_length=LONGEST_NAME,
        help_text="What receives the events, for example: chat of the team.",
    )
    url = forms.CharField(
        max_length=LONGEST_URL,
        label="Address",
        widget=forms.TextInput(
            attrs={"type": "url", "spellcheck": "false", "placeholder": "https://"}
        ),
        help_text="Events are posted here as JSON. It must be reached from the site at a public address, or at"
        " one that the operator allows.",
    )
    kinds = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple,
        label="Events",
        help_text="What is told to it, from now on.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices_set(
            self, "kinds", [(kind.key, f"{kind.key}: {kind.says}") for kind in kinds_offered()]
        )

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            target_of(url)
        except OutgoingRefused as error:
            raise forms.ValidationError(str(error)) from error
        return url


class NewWebhookForm(WebhookForm):
    """`lead` chooses among the own lines; a lead of every line may choose the whole site."""

    line = forms.ChoiceField(label="Of")
    field_order = ["line", "name", "url", "kinds"]

    def __init__(self, *args: Any, lead: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = lines_of(lead, LEAD)
        named = [(str(line.id), line.name) for line in lines_offered(allowed)]
        site = [(WHOLE_SITE, "every line of this site")] if allowed is None else []
        choices_set(self, "line", [*named, *site])

    def clean_line(self) -> PolicyLine | None:
        chosen: str = self.cleaned_data["line"]
        return None if chosen == WHOLE_SITE else PolicyLine.objects.get(pk=UUID(chosen))
