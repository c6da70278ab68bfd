"""A model pushed to a hub or a registry, for engineers and leads of its line: order it, watch it, stop it."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import ObjectDoesNotExist
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from training import facade as training
from training.facade import ModelVersionRecord
from web.access import STAFF, require_role
from web.jobs import JOB_MEANING, JobFailed, JobState, job_cancel
from web.registry import line_name

from . import services
from .cards import KINDS
from .forms import PushForm
from .models import Push
from .selectors import push_address, push_share, pushes_of
from .tasks import push_enqueue


def version_for(request: HttpRequest, version_id: UUID) -> ModelVersionRecord:
    try:
        version = training.model_version_get(version_id)
    except ObjectDoesNotExist as error:
        raise Http404("There is no such model.") from error
    require_role(request, *STAFF, line_id=version.line_id)
    return version


def push_for(request: HttpRequest, push_id: UUID) -> Push:
    push = get_object_or_404(Push, pk=push_id)
    require_role(request, *STAFF, line_id=push.line)
    return push


@login_required
@require_http_methods(["GET", "POST"])
def push_new(request: HttpRequest, version_id: UUID) -> HttpResponse:
    version = version_for(request, version_id)
    form = PushForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        push = _ordered(request, version, form)
        if push is not None:
            return redirect("publishing:push", push.pk)
    context = {
        "version": version,
        "kind": KINDS[version.kind],
        "line": line_name(version.line_id),
        "form": form,
        "problems": [why for why in form.problems.values() if why],
        "pushes": [(push, JOB_MEANING[push.state]) for push in pushes_of(version.id)],
    }
    return render(request, "publishing/new.html", context)


def _ordered(request: HttpRequest, version: ModelVersionRecord, form: PushForm) -> Push | None:
    """None, with the reason in the form, where it cannot be."""
    try:
        with transaction.atomic():
            push = services.push_create(
                version_id=version.id, actor=str(request.user.pk), **form.cleaned_data
            )
            transaction.on_commit(partial(push_enqueue, push.pk))
    except JobFailed as refusal:
        form.add_error(None, str(refusal))
        return None
    return push


@login_required
@require_GET
@never_cache
def push_page(request: HttpRequest, push_id: UUID) -> HttpResponse:
    push = push_for(request, push_id)
    share = push_share(push)
    context = {
        "push": push,
        "name": training.model_version_names({push.version}).get(push.version, ""),
        "line": line_name(push.line),
        "meaning": JOB_MEANING[push.state],
        "live": "1s" if push.state in (JobState.QUEUED, JobState.RUNNING) else "",
        "percent": round(share * 100) if share is not None else None,
        "address": push_address(push),
    }
    return render(request, "publishing/push.html", context)


@login_required
@require_POST
def push_stop(request: HttpRequest, push_id: UUID) -> HttpResponse:
    push = push_for(request, push_id)
    if job_cancel(push):
        messages.info(request, "The push stops; files that arrived may stay at the other side.")
    return redirect("publishing:push", push.pk)
