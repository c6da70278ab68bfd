"""The LLM judge of a line: everybody of its staff reads, leads set and try it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from evaluation.judges import services
from evaluation.judges.forms import NUMBERS, JudgeForm, TryForm
from evaluation.judges.models import LineJudge
from evaluation.judges.pages import judge_page, tried_words
from evaluation.judges.selectors import line_judge
from web.access import ENGINEER, LEAD, person, require_role


@require_http_methods(["GET", "POST"])
@login_required
def judge(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """The judge as it is set; a POST sets it for rounds to come."""
    wanted = (LEAD,) if request.method == "POST" else (ENGINEER, LEAD)
    roles = require_role(request, *wanted, line_id=line_id)
    form = JudgeForm(request.POST or None, initial=_initial(line_judge(line_id)))
    if request.method == "POST" and form.is_valid():
        services.judge_save(
            line_id=line_id,
            settings=form.settings(),
            active=form.cleaned_data["active"],
            actor=person(request),
        )
        messages.success(request, "Saved. It counts for rounds whose judge has not begun.")
        return redirect("judges:judge", line_id)
    return _page(request, line_id, form=form, may_edit=LEAD in roles)


@require_POST
@login_required
def judge_try(request: HttpRequest, line_id: UUID) -> HttpResponse:
    """What the judge would be asked about two texts and, with `ask`, what it answers; nothing is kept."""
    require_role(request, LEAD, line_id=line_id)
    saved = line_judge(line_id)
    if saved is None:
        messages.error(request, "Save a judge first: what is tried is the judge as it is saved.")
        return redirect("judges:judge", line_id)
    form = TryForm(request.POST)
    more: dict[str, Any] = {}
    if form.is_valid():
        data = form.cleaned_data
        tried = services.judge_try(
            line_id=line_id,
            settings=saved.judge_settings,
            prompt=data["prompt"],
            texts=(data["first"], data["second"]),
            ask=request.POST.get("ask") == "1",
        )
        more = {"tried": tried, "tried_words": tried_words(tried)}
    own = JudgeForm(initial=_initial(saved))
    return _page(request, line_id, form=own, may_edit=True, try_form=form, **more)


def _page(
    request: HttpRequest,
    line_id: UUID,
    *,
    form: JudgeForm,
    may_edit: bool,
    try_form: TryForm | None = None,
    **more: Any,
) -> HttpResponse:
    context = {
        "page": judge_page(line_id),
        "form": form,
        "try_form": try_form or TryForm(),
        "may_edit": may_edit,
        **more,
    }
    return render(request, "judges/judge.html", context)


def _initial(saved: LineJudge | None) -> dict[str, Any]:
    if saved is None:
        return {}
    told = saved.judge_settings.to_json()
    numbers = {name: f"{told[name]:.10g}" for name in NUMBERS}
    return {**told, **numbers, "active": saved.active}
