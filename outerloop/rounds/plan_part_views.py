"""The parts of the plan page that choose one thing for the next round; everything else of the plan stays."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from training.contracts import ContractError
from web.access import ENGINEER, person

from . import services
from .access import line_for
from .forms import JobsForm, OptimizerForm
from .models import PolicyLine
from .plan import RoundPlan, jobs_words, optimizer_words, plan_override, plan_with_optimizer
from .selectors import line_plan


@login_required
@require_POST
def optimizer_save(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose how the next round trains its policy."""
    form = OptimizerForm(request.POST)
    return _part_save(
        request,
        slug,
        form,
        lambda plan: plan_with_optimizer(plan, **form.cleaned_data),
        lambda plan: f"The next round trains its policy by {optimizer_words(plan)}.",
    )


@login_required
@require_POST
def jobs_save(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose who runs the programs of the next round."""
    form = JobsForm(request.POST)
    return _part_save(
        request,
        slug,
        form,
        lambda plan: plan_override(plan, form.changes(plan)),
        lambda plan: f"The learning programs of the next round are run by {jobs_words(plan)}.",
    )


def _part_save(
    request: HttpRequest,
    slug: str,
    form: forms.Form,
    changed: Callable[[RoundPlan], RoundPlan],
    said: Callable[[RoundPlan], str],
) -> HttpResponse:
    line = line_for(request, slug, ENGINEER)
    back = redirect("rounds:plan", slug=slug)
    if not form.is_valid():
        for field, errors in form.errors.items():
            messages.error(request, f"{form.fields[field].label}: {errors[0]}")
        return back
    try:
        plan = changed(line_plan(line))
    except ContractError as error:
        messages.error(request, str(error))
        return back
    services.line_plan_save(line=line, plan=plan, actor=str(person(request).pk))
    messages.success(request, said(plan))
    return back


def optimizer_form(line: PolicyLine) -> OptimizerForm:
    plan = line_plan(line)
    chosen = {"optimizer": plan.optimizer, "adapter": plan.policy_training.adapter.kind}
    return OptimizerForm(initial=chosen)


def jobs_form(line: PolicyLine) -> JobsForm:
    jobs = line_plan(line).jobs.to_json()
    return JobsForm(initial={"backend": jobs["backend"], **jobs["every_step"]})
