"""The page of a line's suites: which there are, attaching and detaching one."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from evaluation import facade as evaluation
from web.access import ENGINEER, LEAD, person, roles_of

from . import suites
from .access import line_for
from .forms import SuiteForm, TaskForm
from .models import PolicyLine


@login_required
@require_http_methods(["GET", "POST"])
def suites_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The suites of the line, of its candidates and of its reward models, and the form that attaches one."""
    line = line_for(request, slug, ENGINEER, LEAD)
    form = SuiteForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            suite = suites.suite_attach(
                line=line,
                name=data["name"],
                kind=data["kind"],
                content=data["file"],
                actor=str(person(request).pk),
            )
        except suites.SuiteRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{suite} is attached; the next round takes it.")
            return redirect("rounds:suites", slug=slug)
    return _suites_shown(request, line, form, TaskForm(prefix="task"))


@login_required
@require_POST
def suite_task(request: HttpRequest, slug: str) -> HttpResponse:
    """Attach a task of lm-evaluation-harness."""
    line = line_for(request, slug, ENGINEER, LEAD)
    form = TaskForm(request.POST, prefix="task")
    if form.is_valid():
        try:
            suite = suites.task_attach(
                line=line, actor=str(person(request).pk), **form.cleaned_data
            )
        except suites.SuiteRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{suite} is attached; the next round takes it.")
            return redirect("rounds:suites", slug=slug)
    return _suites_shown(request, line, SuiteForm(), form)


def _suites_shown(
    request: HttpRequest, line: PolicyLine, form: SuiteForm, task_form: TaskForm
) -> HttpResponse:
    context = {
        "line": line,
        "form": form,
        "task_form": task_form,
        "task_library_missing": evaluation.task_library_missing(),
        "suites": suites.suites_attached(line),
        "watched": bool(suites.suites_of_policies(line)),
        "may_detach": LEAD in roles_of(request.user, line.id),
    }
    return render(request, "rounds/suites.html", context)


@login_required
@require_POST
def suite_detach(request: HttpRequest, slug: str, suite_id: int) -> HttpResponse:
    """Watch less from the next round on: for two leads to say."""
    line = line_for(request, slug, LEAD)
    try:
        done = suites.suite_detach(line=line, suite_id=suite_id, actor=str(person(request).pk))
    except suites.SuiteRefused as refusal:
        messages.error(request, str(refusal))
    else:
        words = "The suite is detached; rounds under way keep it."
        asked = "Watching less takes two leads: the suite stays until another lead agrees."
        messages.success(request, words if done else asked)
    return redirect("rounds:suites", slug=slug)
