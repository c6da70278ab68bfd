"""The page of a line's suites: which there are, attaching and detaching one."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evaluation import facade as evaluation
from web.access import ENGINEER, LEAD, person, roles_of
from web.jobs import JOB_MEANING, JobState, job_cancel

from . import suites
from .access import line_for
from .forms import SuiteForm, TaskForm
from .models import PolicyLine, TaskCheck
from .task_checks import checks_shown, task_order
from .tasks import task_check_enqueue


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
    return _suites_shown(
        request, line, form, TaskForm(prefix="task", initial=_asked_before(request, line))
    )


@login_required
@require_POST
def suite_task(request: HttpRequest, slug: str) -> HttpResponse:
    """Order the check of a task of lm-evaluation-harness, after which it is attached."""
    line = line_for(request, slug, ENGINEER, LEAD)
    form = TaskForm(request.POST, prefix="task")
    if form.is_valid():
        try:
            with transaction.atomic():
                check = task_order(line=line, actor=str(person(request).pk), **form.cleaned_data)
                transaction.on_commit(partial(task_check_enqueue, check.pk))
        except suites.SuiteRefused as refusal:
            form.add_error(None, str(refusal))
        else:
            return redirect("rounds:suite_check", slug=slug, check_id=check.pk)
    return _suites_shown(request, line, SuiteForm(), form)


@login_required
@require_GET
@never_cache
def suite_check(request: HttpRequest, slug: str, check_id: UUID) -> HttpResponse:
    """How far the check of a task is, and what came of it."""
    line = line_for(request, slug, ENGINEER, LEAD)
    check = get_object_or_404(TaskCheck, pk=check_id, line=line.pk)
    context = {
        "line": line,
        "check": check,
        "minutes": evaluation.TASK_CHECK_MINUTES,
        "meaning": JOB_MEANING[check.state],
        "live": "1s" if check.state in (JobState.QUEUED, JobState.RUNNING) else "",
    }
    return render(request, "rounds/suite_check.html", context)


@login_required
@require_POST
def suite_check_stop(request: HttpRequest, slug: str, check_id: UUID) -> HttpResponse:
    line = line_for(request, slug, ENGINEER, LEAD)
    check = get_object_or_404(TaskCheck, pk=check_id, line=line.pk)
    if job_cancel(check):
        messages.info(request, "The check stops; nothing is attached.")
    return redirect("rounds:suite_check", slug=slug, check_id=check.pk)


def _asked_before(request: HttpRequest, line: PolicyLine) -> dict[str, object]:
    """What a check that failed was asked, to be mended in the form: `?check=ID`."""
    try:
        check = TaskCheck.objects.get(pk=UUID(request.GET.get("check", "")), line=line.pk)
    except (ValueError, TaskCheck.DoesNotExist):
        return {}
    return {name: getattr(check, name) for name in TaskForm.base_fields}


def _suites_shown(
    request: HttpRequest, line: PolicyLine, form: SuiteForm, task_form: TaskForm
) -> HttpResponse:
    context = {
        "line": line,
        "form": form,
        "task_form": task_form,
        "task_library_missing": evaluation.task_library_missing(),
        "suites": suites.suites_attached(line),
        "checks": [(check, JOB_MEANING[check.state]) for check in checks_shown(line)],
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
