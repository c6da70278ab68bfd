"""The page of one's own answers, on every line on which one may label."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from annotation.accounts.services import rater_for
from annotation.campaigns.models import Campaign
from web.access import ADJUDICATOR, ANNOTATOR, lines_of, person, role_required
from web.forms import choices_set
from web.paging import page_by_key

from .history import KINDS, MOST_FOUND, Wanted, history, history_row

PAGE = 25


class HistoryForm(forms.Form):
    text = forms.CharField(required=False, max_length=200, label="Text")
    campaign = forms.ChoiceField(required=False)
    kind = forms.ChoiceField(
        required=False, label="What", choices=[("", "Everything"), *KINDS.items()]
    )
    since = forms.DateField(required=False, label="From", widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(required=False, label="Until", widget=forms.DateInput({"type": "date"}))

    def __init__(self, *args: Any, campaigns: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices_set(self, "campaign", [("", "Every campaign"), *campaigns])


@require_GET
@never_cache
@role_required(ANNOTATOR, ADJUDICATOR)
def history_page(request: HttpRequest) -> HttpResponse:
    rater = rater_for(user=person(request))
    lines = lines_of(request.user, ANNOTATOR, ADJUDICATOR)
    mine = Campaign.objects.filter(queues__rater=rater).order_by("name")
    form = HistoryForm(
        request.GET, campaigns=[(str(pk), name) for pk, name in mine.values_list("pk", "name")]
    )
    wanted = Wanted(**_asked(form)) if form.is_valid() else Wanted()
    rows, more = history(rater=rater, lines=lines, wanted=wanted)
    page = page_by_key(rows, query=request.GET, fields=("-touched_at", "-id"), size=PAGE)
    context = {
        "form": form,
        "page": page,
        "rows": [history_row(row) for row in page.rows],
        "asked": any(_asked(form).values()) if form.is_valid() else True,
        "more": MOST_FOUND if more else 0,
    }
    return render(request, "comparisons/history.html", context)


def _asked(form: HistoryForm) -> dict[str, Any]:
    return {**form.cleaned_data, "campaign": form.cleaned_data["campaign"] or None}
