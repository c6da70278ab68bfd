"""The self-test's page and its JSON, for engineers and leads."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from outerloop.rounds.access import lines_allowed
from outerloop.selftest.pages import COMMAND, selftest_document, selftest_page
from outerloop.selftest.results import ArmResult, ResultStore, policies_tested
from web.access import STAFF, role_required
from web.tokens import READ, takes_tokens


@require_safe
@role_required(*STAFF)
def report(request: HttpRequest) -> HttpResponse:
    line, choices = _line(request)
    context = {
        "page": selftest_page(_results(line), line=line),
        "line": choices[line],
        "slug": line,
        "choices": [{"slug": s, "name": n, "here": s == line} for s, n in choices.items()],
        "command": COMMAND,
    }
    return render(request, "selftest/report.html", context)


@takes_tokens(READ)
@require_safe
@role_required(*STAFF)
def report_json(request: HttpRequest) -> HttpResponse:
    line, _ = _line(request)
    return JsonResponse(selftest_document(_results(line), line=line))


def _line(request: HttpRequest) -> tuple[str, dict[str, str]]:
    """The slug that was asked for, and what may be: the default's and the lines of this person."""
    tested = set(policies_tested(_root()))
    lines = lines_allowed(request).filter(slug__in=tested).order_by("name")
    choices = {"": "The installation's default policy", **dict(lines.values_list("slug", "name"))}
    asked = request.GET.get("line", "")
    if asked not in choices:
        raise Http404("The gate policy of no such line was tested.")
    return asked, choices


def _results(line: str) -> list[ArmResult]:
    return ResultStore(_root(), line).all()


def _root() -> Path:
    return Path(settings.VAR_DIR) / "selftest"
