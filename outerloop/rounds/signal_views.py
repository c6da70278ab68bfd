"""What users of a line's deployed policy say of its answers: to read, and for a lead to act on."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from annotation import facade as annotation
from annotation.contracts import AnnotationError
from web.access import LEAD, STAFF, person, roles_of

from .access import line_for
from .models import PolicyLine
from .pages import signals_context


@login_required
@require_http_methods(["GET", "POST"])
def signals_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Staff read; a lead switches signals (`on`) or the second opinion (`opinion`) on (`yes`) or off."""
    if request.method == "POST":
        line = line_for(request, slug, LEAD)
        if "opinion" in request.POST:
            return _opinion_switched(request, line)
        on = request.POST.get("on") == "yes" and line.archived_at is None
        annotation.signals_switch(
            line_id=line.id, on=on, actor=str(person(request).pk), name=line.slug
        )
        messages.success(
            request,
            "Signals are on: answers are kept for feedback."
            if on
            else "Signals are off, and the answers that were kept for them are deleted.",
        )
        return redirect("rounds:signals", slug=slug)
    line = line_for(request, slug, *STAFF)
    may_act = LEAD in roles_of(request.user, line.id) and line.archived_at is None
    return render(request, "rounds/signals.html", {"may_act": may_act, **signals_context(line)})


def _opinion_switched(request: HttpRequest, line: PolicyLine) -> HttpResponse:
    on = request.POST["opinion"] == "yes" and line.archived_at is None
    annotation.signal_opinion_switch(
        line_id=line.id, on=on, actor=str(person(request).pk), name=line.slug
    )
    messages.success(
        request,
        "The next rounds train a reward head on users' signals, as a second opinion."
        if on
        else "The next rounds train no reward head on users' signals.",
    )
    return redirect("rounds:signals", slug=line.slug)


@login_required
@require_POST
def prompts_add(request: HttpRequest, slug: str) -> HttpResponse:
    """A lead adds the troubled prompts that were ticked (`prompt`) to the prompts of the line."""
    line = line_for(request, slug, LEAD)
    try:
        done = annotation.troubled_prompts_add(
            line_id=line.id, conversations=request.POST.getlist("prompt"), actor=person(request)
        )
    except AnnotationError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, _told(done.added, done.left_out))
    return redirect("rounds:signals", slug=slug)


def _told(added: int, left_out: int) -> str:
    said = [
        f"{added} prompt added: policies answer it as rounds draw from the line's prompts."
        if added == 1
        else f"{added} prompts added: policies answer them as rounds draw from the line's prompts."
    ]
    return " ".join([*said, *([f"{left_out} stayed out."] if left_out else [])])
