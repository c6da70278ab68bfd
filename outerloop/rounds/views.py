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
from web.access import ENGINEER, LEAD, STAFF, lines_of, person, roles_of
from web.registry import LineAction, LineLink, registered

from . import canaries, mending, overriding, services
from .access import line_for, lines_for, round_for
from .dry_run import start_check
from .forms import (
    DecisionForm,
    OverrideForm,
    PlanForm,
    PromotionsForm,
    ScheduleForm,
)
from .locking import RoundRefused
from .models import PolicyLine, Round
from .pages import line_context, lines_context, round_context
from .plan_part_views import jobs_form, optimizer_form
from .record import record_refresh
from .schedule import line_archive, schedule_save
from .selectors import line_plan
from .tasks import advance_enqueue


@login_required
@require_GET
def line_list(request: HttpRequest) -> HttpResponse:
    """The lines at work; with `?archived=1` those that were put away."""
    archived = request.GET.get("archived") == "1"
    lines = lines_for(request, archived=archived)
    context = {
        **lines_context(lines, request.user),
        "archived": archived,
        "may_make": lines_of(request.user, *STAFF) is None,
    }
    return render(request, "rounds/lines.html", context)


@login_required
@require_GET
def line_page(request: HttpRequest, slug: str) -> HttpResponse:
    line = line_for(request, slug)
    actions = [a for a in registered(LineAction) if line.simulated or not a.simulated_only]
    roles = roles_of(request.user, line.id)
    links = [(a.address(slug), a.label) for a in registered(LineLink) if a.roles & roles]
    context = {
        **line_context(line, request.user),
        "line_actions": actions,
        "line_links": links,
    }
    return render(request, "rounds/line.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def schedule_page(request: HttpRequest, slug: str) -> HttpResponse:
    line = line_for(request, slug, ENGINEER, LEAD)
    form = ScheduleForm(request.POST or None, instance=line)
    if request.method == "POST" and form.is_valid():
        try:
            schedule_save(line=form.save(commit=False), actor=str(person(request).pk))
        except RoundRefused as refusal:
            form.add_error("schedule_enabled", str(refusal))
        else:
            messages.success(request, "The schedule is saved.")
            return redirect("rounds:line", slug=slug)
    return render(request, "rounds/schedule.html", {"line": line, "form": form})


@login_required
@require_http_methods(["GET", "POST"])
def promotions_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Whether promotions wait for a lead, and gate labels train afterwards: for leads alone to say."""
    line = line_for(request, slug, LEAD)
    form = PromotionsForm(request.POST or None, line=line)
    if request.method == "POST" and form.is_valid():
        services.promotions_save(
            line=line,
            deploys_by_itself=form.deploys_by_itself(),
            canary_share=form.share(),
            release_gate_labels=form.cleaned_data["release_gate_labels"],
            actor=str(person(request).pk),
        )
        messages.success(
            request,
            "Saved. Approvals count from the next round on, gate labels from the next decision on.",
        )
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
        "optimizer_form": optimizer_form(line),
        "jobs_form": jobs_form(line),
        "may_edit": ENGINEER in roles_of(request.user, line.id),
    }
    return render(request, "rounds/plan.html", context)


def _plan_text(line: PolicyLine) -> str:
    return json.dumps(line_plan(line).to_json(), indent=2)


@login_required
@require_POST
def archive(request: HttpRequest, slug: str) -> HttpResponse:
    """Put the line away, or take it back (`archived=no`): for leads."""
    line = line_for(request, slug, LEAD)
    archived = request.POST.get("archived") != "no"
    try:
        line_archive(line=line, archived=archived, actor=str(person(request).pk))
    except RoundRefused as refusal:
        messages.error(request, str(refusal))
    else:
        word = "is archived with its campaigns" if archived else "is back among the lines"
        messages.success(request, f"{line.name} {word}.")
    return redirect("rounds:line", slug=slug)


@login_required
@require_POST
def start(request: HttpRequest, slug: str) -> HttpResponse:
    line = line_for(request, slug, ENGINEER)
    forced, again = (request.POST.get(name) == "1" for name in ("forced", "again"))
    try:
        round_ = services.round_start(
            line=line,
            trigger="person",
            actor=person(request),
            forced=forced,
            changes={"candidate": "again"} if again else None,
        )
    except RoundRefused as refusal:
        messages.error(request, f"No round was started: {refusal}")
        return redirect("rounds:line", slug=slug)
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    messages.success(request, f"{round_} has started.")
    return redirect("rounds:round", slug=slug, number=round_.number)


@login_required
@require_POST
def first_pairs(request: HttpRequest, slug: str) -> HttpResponse:
    """Let the base policy of a new line write the pairs that people compare first."""
    line = line_for(request, slug, *STAFF)
    try:
        round_ = services.first_pairs_order(line=line, trigger="person", actor=person(request))
    except RoundRefused as refusal:
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
    if services.round_cancel(round_=round_, actor=str(person(request).pk)):
        transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
        messages.info(request, f"{round_} is being cancelled; what it made so far is kept.")
    else:
        messages.error(request, f"{round_} had ended before: nothing was cancelled.")
    return redirect("rounds:round", slug=slug, number=number)


@login_required
@require_POST
def take_up(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    round_ = round_for(request, slug, number, ENGINEER)
    mended = request.POST.get("mended") == "1"
    try:
        kept = mending.round_take_up(round_=round_, actor=str(person(request).pk), mended=mended)
    except (RoundRefused, ContractError) as refusal:
        messages.error(request, str(refusal))
        return redirect("rounds:round", slug=slug, number=number)
    round_.refresh_from_db()
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    words = "goes on with the line's plan of now" if mended else "goes on where it stopped"
    messages.success(request, f"{round_} {words}.")
    if kept:
        messages.info(request, f"Steps that are done keep their settings: {', '.join(kept)}.")
    return redirect("rounds:round", slug=slug, number=number)


@login_required
@require_POST
def approve(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """A lead lets the promotion through (approve=1) or holds it back."""
    round_ = round_for(request, slug, number, LEAD)
    form = DecisionForm(request.POST)
    approved = request.POST.get("approve") == "1"
    if not form.is_valid() and "canary_share" in form.errors:
        messages.error(request, "Choose one of the offered shares of the users.")
        return _to_report(round_)
    chosen = form.cleaned_data["canary_share"]
    share = round_.line.canary_share if chosen is None else chosen
    try:
        evaluation.approval_record(
            round_id=round_.id,
            actor=person(request),
            approve=approved,
            reason=form.cleaned_data.get("reason", ""),
            canary_share=share,
        )
    except evaluation.GateError as error:
        messages.error(request, str(error))
        return _to_report(round_)
    record_refresh(round_)
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    messages.success(request, canaries.approval_words(round_, approved=approved, share=share))
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
    except (evaluation.GateError, RoundRefused) as error:
        messages.error(request, str(error))
        return _to_report(round_)
    record_refresh(round_)
    messages.success(request, said)
    return _to_report(round_)


def _to_report(round_: Round) -> HttpResponse:
    return redirect(reverse("reports:report", args=[round_.line.slug, round_.number]))
