"""The page on which a lead sees what is hidden from raters, adds names, and tries them on a text."""

from __future__ import annotations

import uuid

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from annotation.campaigns.audit import campaign_audit
from annotation.campaigns.models import Campaign
from annotation.campaigns.services import campaign_update
from web.access import STAFF, require_role, role_required

from .blindness import hidden_names
from .identity import identities_masked, names_read

MOST_NAMES, LONGEST_NAME = 200, 80


class NamesForm(forms.Form):
    names = forms.CharField(
        required=False,
        max_length=MOST_NAMES * LONGEST_NAME,
        widget=forms.Textarea(attrs={"rows": 6}),
        label="Names to hide",
        help_text="One a line, such as the name of your own assistant. They are hidden wherever an answer has"
        " them, in upper or lower case. Models and makers that are known need no line: they are hidden where"
        " an answer speaks of itself.",
    )
    sample = forms.CharField(
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        label="Try it on a text",
        help_text="Shown below as a rater would see it; it is not kept.",
    )

    def clean_names(self) -> str:
        names = names_read(self.cleaned_data["names"])
        if len(names) > MOST_NAMES:
            raise forms.ValidationError(f"List at most {MOST_NAMES} names.")
        long = next((name for name in names if len(name) > LONGEST_NAME), None)
        if long is not None:
            raise forms.ValidationError(
                f"A name has at most {LONGEST_NAME} characters: {long[:60]}…"
            )
        return "\n".join(dict.fromkeys(names))


@require_http_methods(["GET", "POST"])
@role_required(*STAFF)
def names(request: HttpRequest, campaign_id: uuid.UUID) -> HttpResponse:
    campaign = get_object_or_404(Campaign, pk=campaign_id)
    require_role(request, *STAFF, line_id=campaign.line)
    form = NamesForm(request.POST or None, initial={"names": campaign.hidden_names})
    seen = ""
    if request.method == "POST" and form.is_valid():
        if "keep" in request.POST:
            return _keep(request, campaign, form.cleaned_data["names"])
        listed = names_read(form.cleaned_data["names"])
        (seen,) = identities_masked([form.cleaned_data["sample"]], (), listed)
    context = {
        "campaign": campaign,
        "form": form,
        "seen": seen,
        "found": hidden_names(campaign=campaign),
    }
    return render(request, "comparisons/names.html", context)


def _keep(request: HttpRequest, campaign: Campaign, listed: str) -> HttpResponse:
    before = campaign.hidden_names
    campaign_update(campaign=campaign, hidden_names=listed)
    campaign_audit(request, campaign, "changed hidden names", hidden_names=[before, listed])
    messages.success(request, "Kept. It counts for every pair shown from now on.")
    return redirect("comparisons:names", campaign.pk)
