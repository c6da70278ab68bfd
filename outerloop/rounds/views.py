"""Pages of a line and of a round: parse, authorise, call one service, render."""

from __future__ import annotations

import json
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from evaluation import facade as evaluation
from training.contracts import ContractError
from web.access import ENGINEER, LEAD, STAFF, person, roles_of
from web.registry import LineAction, registered

from . import overriding, services, suites
from .access import line_for, lines_for, round_for
from .dry_run import start_check
from .forms import (
    DecisionForm,
    OptimizerForm,
    OverrideForm,
    PlanForm,
    PromotionsForm,
    ScheduleForm,
    SuiteForm,
)
from .models import PolicyLine, Round
from .pages import line_context, lines_context, round_context
from .plan import optimizer_words, plan_with_optimizer
from .record import record_refresh
from .schedule import schedule_save
from .selectors import line_plan
from .tasks import advance_enqueue


@login_required
@require_GET
def line_list(request: HttpRequest) -> HttpResponse:
    lines = lines_for(request)
    return render(request, "rounds/lines.html", lines_context(lines, request.user))


@login_required
@require_GET
def line_page(request: HttpRequest, slug: str) -> HttpResponse:
    line = line_for(request, slug)
    actions = [a for a in registered(LineAction) if line.simulated or not a.simulated_only]
    context = {**line_context(line, request.user), "line_actions": actions}
    return render(request, "rounds/line.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def schedule_page(request: HttpRequest, slug: str) -> HttpResponse:
    line = line_for(request, slug, ENGINEER, LEAD)
    form = ScheduleForm(request.POST or None, instance=line)
    if request.method == "POST" and form.is_valid():
        schedule_save(line=form.save(commit=False), actor=str(person(request).pk))
        messages.success(request, "The schedule is saved.")
        return redirect("rounds:line", slug=slug)
    return render(request, "rounds/schedule.html", {"line": line, "form": form})


@login_required
@require_http_methods(["GET", "POST"])
def promotions_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Whether promotions wait for a lead: for leads alone to say."""
    line = line_for(request, slug, LEAD)
    form = PromotionsForm(request.POST or None, line=line)
    if request.method == "POST" and form.is_valid():
        services.promotions_save(
            line=line, deploys_by_itself=form.deploys_by_itself(), actor=str(person(request).pk)
        )
        messages.success(request, "Saved; it counts from the next round on.")
        return redirect("rounds:line", slug=slug)
    return render(request, "rounds/promotions.html", {"line": line, "form": form})


@login_required
@require_http_methods(["GET", "POST"])
def plan_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Engineers change the plan, leads read it."""
    line = line_for(request, slug, *((ENGINEER,) if request.method == "POST" else STAFF))
    form = PlanForm(request.POST or None, initial={"plan": _plan_text(line)})
    if request.method == "POST" and form.is_valid():
        plan = form.cleaned_data["plan"]
        services.line_plan_save(line=line, plan=plan, actor=str(person(request).pk))
        messages.success(request, "The plan of the next round is saved.")
        return redirect("rounds:line", slug=slug)
    context = {
        "line": line,
        "form": form,
        "optimizer_form": _optimizer_form(line),
        "may_edit": ENGINEER in roles_of(request.user, line.id),
    }
    return render(request, "rounds/plan.html", context)


@login_required
@require_POST
def optimizer_save(request: HttpRequest, slug: str) -> HttpResponse:
    """Choose how the next round trains its policy; everything else of the plan stays."""
    line = line_for(request, slug, ENGINEER)
    form = OptimizerForm(request.POST)
    if not form.is_valid():
        for field, errors in form.errors.items():
            messages.error(request, f"{form.fields[field].label}: {errors[0]}")
        return redirect("rounds:plan", slug=slug)
    try:
        plan = plan_with_optimizer(line_plan(line), **form.cleaned_data)
    except ContractError as error:
        messages.error(request, str(error))
        return redirect("rounds:plan", slug=slug)
    services.line_plan_save(line=line, plan=plan, actor=str(person(request).pk))
    messages.success(request, f"The next round trains its policy by {optimizer_words(plan)}.")
    return redirect("rounds:plan", slug=slug)


def _optimizer_form(line: PolicyLine) -> OptimizerForm:
    plan = line_plan(line)
    chosen = {"optimizer": plan.optimizer, "adapter": plan.policy_training.adapter.kind}
    return OptimizerForm(initial=chosen)


def _plan_text(line: PolicyLine) -> str:
    return json.dumps(line_plan(line).to_json(), indent=2)


@login_required
@require_http_methods(["GET", "POST"])
def suites_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The suites that candidates of the line answer, and the form that attaches one."""
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
            messages.success(request, f"{suite} is attached; the next round answers it.")
            return redirect("rounds:suites", slug=slug)
    context = {
        "line": line,
        "form": form,
        "suites": suites.suites_attached(line),
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


@login_required
@require_POST
def start(request: HttpRequest, slug: str) -> HttpResponse:
    line = line_for(request, slug, ENGINEER)
    forced = request.POST.get("forced") == "1"
    try:
        round_ = services.round_start(
            line=line, trigger="person", actor=person(request), forced=forced
        )
    except services.RoundRefused as refusal:
        messages.error(request, f"No round was started: {refusal}")
        return redirect("rounds:line", slug=slug)
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    messages.success(request, f"{round_} has started.")
    return redirect("rounds:round", slug=slug, number=round_.number)


@login_required
@require_POST
def first_pairs(request: HttpRequest, slug: str) -> HttpResponse:
    """Let the base policy of a new line write the pairs that people compare first."""
    line = line_for(request, slug, ENGINEER)
    try:
        round_ = services.first_pairs_order(line=line, trigger="person", actor=person(request))
    except services.RoundRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("rounds:line", slug=slug)
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    messages.success(request, "The base policy is writing the first pairs.")
    return redirect("rounds:round", slug=slug, number=round_.number)


@login_required
@require_GET
def dry_run(request: HttpRequest, slug: str) -> HttpResponse:
    """What a start would do now, and what stands in its way; nothing is changed."""
    line = line_for(request, slug, ENGINEER, LEAD)
    return render(request, "rounds/dry_run.html", {"line": line, "check": start_check(line=line)})


@login_required
@require_GET
def round_page(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    round_ = round_for(request, slug, number)
    return render(request, "rounds/round.html", round_context(round_, request.user))


@login_required
@require_POST
def cancel(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    round_ = round_for(request, slug, number, ENGINEER, LEAD)
    services.round_cancel(round_=round_, actor=str(person(request).pk))
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    messages.info(request, f"{round_} is being cancelled; what it made so far is kept.")
    return redirect("rounds:round", slug=slug, number=number)


@login_required
@require_POST
def take_up(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    round_ = round_for(request, slug, number, ENGINEER)
    try:
        services.round_take_up(round_=round_, actor=str(person(request).pk))
    except services.RoundRefused as refusal:
        messages.error(request, str(refusal))
        return redirect("rounds:round", slug=slug, number=number)
    round_.refresh_from_db()
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    messages.success(request, f"{round_} goes on where it stopped.")
    return redirect("rounds:round", slug=slug, number=number)


@login_required
@require_POST
def approve(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """A lead lets the promotion through (approve=1) or holds it back."""
    round_ = round_for(request, slug, number, LEAD)
    form = DecisionForm(request.POST)
    form.is_valid()
    approved = request.POST.get("approve") == "1"
    try:
        evaluation.approval_record(
            round_id=round_.id,
            actor=person(request),
            approve=approved,
            reason=form.cleaned_data.get("reason", ""),
        )
    except evaluation.GateError as error:
        messages.error(request, str(error))
        return _to_report(round_)
    record_refresh(round_)
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    word = "approved; the candidate is being deployed" if approved else "held back"
    messages.success(request, f"The promotion is {word}.")
    return _to_report(round_)


@login_required
@require_POST
def override_request(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """The first lead asks that one check be let through; a second one must agree."""
    round_ = round_for(request, slug, number, LEAD)
    form = OverrideForm(request.POST, checks=overriding.overridable_checks(round_))
    if not form.is_valid():
        for field, errors in form.errors.items():
            messages.error(request, f"{form.fields[field].label}: {errors[0]}")
        return _to_report(round_)
    try:
        evaluation.override_request(
            round_id=round_.id,
            check_id=form.cleaned_data["check_id"],
            reason=form.cleaned_data["reason"],
            actor=person(request),
            expires_at=form.expires_at(),
        )
    except evaluation.GateError as error:
        messages.error(request, str(error))
        return _to_report(round_)
    overriding.second_lead_tell(round_, by=person(request))
    messages.success(request, "The override waits for a second lead.")
    return _to_report(round_)


@login_required
@require_POST
def override_confirm(
    request: HttpRequest, slug: str, number: int, override_id: UUID
) -> HttpResponse:
    round_ = round_for(request, slug, number, LEAD)
    try:
        said = overriding.override_confirm(
            round_=round_, override_id=override_id, actor=person(request)
        )
    except (evaluation.GateError, services.RoundRefused) as error:
        messages.error(request, str(error))
        return _to_report(round_)
    record_refresh(round_)
    messages.success(request, said)
    return _to_report(round_)


def _to_report(round_: Round) -> HttpResponse:
    return redirect(reverse("reports:report", args=[round_.line.slug, round_.number]))
