"""The demo's one button: a round that is over-optimised on purpose."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from outerloop.demo.settings import OVEROPTIMISED, OVEROPTIMISED_CHANGES
from outerloop.rounds.access import line_for
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.services import round_start
from outerloop.rounds.tasks import advance_enqueue
from web.access import ENGINEER, person


@login_required
@require_POST
def overoptimise(request: HttpRequest, slug: str) -> HttpResponse:
    """Start a round without KL control; its report shows what the gate makes of it."""
    line = line_for(request, slug, ENGINEER)
    try:
        round_ = round_start(
            line=line,
            trigger="person",
            actor=person(request),
            forced=True,
            changes={
                "optimizer": "ppo",
                "policy": OVEROPTIMISED.ppo.to_json(),
                **OVEROPTIMISED_CHANGES,
            },
            title="over-optimised on purpose",
        )
    except RoundRefused as refusal:
        messages.error(request, f"No round was started: {refusal}")
        return redirect("rounds:line", slug=slug)
    transaction.on_commit(lambda: advance_enqueue(round_.id, round_.state))
    messages.success(request, "A round without KL control has started. Watch what the gate says.")
    return redirect("rounds:round", slug=slug, number=round_.number)
