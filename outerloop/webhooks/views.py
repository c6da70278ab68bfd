"""The pages of webhooks, for leads: a list, one with its log, and what may be done with it."""

from __future__ import annotations

import uuid

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from outerloop.rounds.models import PolicyLine
from web.access import LEAD, person, role_required
from web.paging import page_by_key

from . import services
from .access import delivery_for, require_line, webhook_for, webhooks_for
from .forms import NewWebhookForm, WebhookForm
from .models import DeliveryState, Webhook
from .pages import log_row, webhook_row
from .selectors import deliveries_of, waiting_numbers
from .signing import secret_shown
from .tasks import send_enqueue


@require_GET
@role_required(LEAD)
def webhook_list(request: HttpRequest) -> HttpResponse:
    """All that the person may change; `?line=SLUG`: of one line."""
    rows = webhooks_for(request).order_by("name", "pk")
    line = None
    if slug := request.GET.get("line", ""):
        line = next((each for each in PolicyLine.objects.all() if each.slug == slug), None)
        if line is None:
            raise Http404("There is no such line.")
        require_line(request, line.pk)
        rows = rows.filter(line=line)
    waiting = waiting_numbers()
    shown = [webhook_row(webhook, waiting.get(webhook.pk, 0)) for webhook in rows]
    return render(request, "webhooks/list.html", {"rows": shown, "line": line})


@require_http_methods(["GET", "POST"])
@never_cache
@role_required(LEAD)
def webhook_new(request: HttpRequest) -> HttpResponse:
    """A POST makes one and shows its secret this one time."""
    initial = {"line": request.GET.get("line", "")}
    form = NewWebhookForm(request.POST or None, lead=person(request), initial=initial)
    if request.method == "POST" and form.is_valid():
        line = form.cleaned_data["line"]
        require_line(request, line.pk if line else None)
        webhook = services.webhook_create(actor=request.user, **form.cleaned_data)
        return _secret_page(request, webhook)
    return render(request, "webhooks/new.html", {"form": form})


@require_GET
@role_required(LEAD)
def webhook_detail(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    webhook = webhook_for(request, webhook_id)
    log = deliveries_of(webhook)
    page = page_by_key(log, query=request.GET, fields=("-created_at", "-id"), size=30)
    waiting = log.filter(state=DeliveryState.WAITING).count()
    context = {
        "row": webhook_row(webhook, waiting),
        "webhook": webhook,
        "page": page,
        "log": [log_row(delivery) for delivery in page.rows],
        "live": "3s" if waiting else "20s",
    }
    return render(request, "webhooks/detail.html", context)


@require_http_methods(["GET", "POST"])
@role_required(LEAD)
def webhook_edit(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    webhook = webhook_for(request, webhook_id)
    now = {"name": webhook.name, "url": webhook.url, "kinds": webhook.kinds}
    form = WebhookForm(request.POST or None, initial=now)
    if request.method == "POST" and form.is_valid():
        services.webhook_change(webhook=webhook, actor=request.user, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("webhooks:detail", webhook.pk)
    return render(request, "webhooks/edit.html", {"webhook": webhook, "form": form})


@require_POST
@role_required(LEAD)
def webhook_switch(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    """Switch it on, or with `active=no` off."""
    webhook = webhook_for(request, webhook_id)
    active = request.POST.get("active") != "no"
    services.webhook_change(webhook=webhook, actor=request.user, active=active)
    said = "on: events are sent from now on." if active else "off: nothing is sent."
    messages.success(request, f"The webhook {webhook.name} is {said}")
    return redirect("webhooks:detail", webhook.pk)


@require_POST
@never_cache
@role_required(LEAD)
def webhook_secret(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    webhook = services.secret_renew(webhook=webhook_for(request, webhook_id), actor=request.user)
    return _secret_page(request, webhook, renewed=True)


@require_POST
@role_required(LEAD)
def webhook_test(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    webhook = webhook_for(request, webhook_id)
    try:
        services.test_send(webhook=webhook, actor=request.user)
    except services.WebhookRefused as refusal:
        messages.error(request, str(refusal))
    else:
        transaction.on_commit(send_enqueue)
        messages.success(request, "A test event is on its way; the log below says what came of it.")
    return redirect("webhooks:detail", webhook.pk)


@require_POST
@role_required(LEAD)
def webhook_delete(request: HttpRequest, webhook_id: uuid.UUID) -> HttpResponse:
    webhook = webhook_for(request, webhook_id)
    services.webhook_delete(webhook=webhook, actor=request.user)
    messages.success(request, f"The webhook {webhook.name} is deleted, with its log.")
    return redirect("webhooks:list")


@require_POST
@role_required(LEAD)
def delivery_again(request: HttpRequest, webhook_id: uuid.UUID, delivery_id: int) -> HttpResponse:
    delivery = delivery_for(request, webhook_id, delivery_id)
    try:
        services.delivery_again(delivery=delivery, actor=request.user)
    except services.WebhookRefused as refusal:
        messages.error(request, str(refusal))
    else:
        transaction.on_commit(send_enqueue)
        messages.success(request, "The event is on its way again, under the same id.")
    return redirect("webhooks:detail", webhook_id)


def _secret_page(request: HttpRequest, webhook: Webhook, *, renewed: bool = False) -> HttpResponse:
    context = {"webhook": webhook, "secret": secret_shown(webhook.salt), "renewed": renewed}
    return render(request, "webhooks/secret.html", context)
