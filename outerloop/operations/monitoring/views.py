"""What monitoring asks: is the process alive, is it ready, and the figures for Prometheus."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import choose_encoder

from .access import Refusal, metrics_refusal
from .health import readiness
from .metrics import registry_make


@require_safe
@never_cache
def live(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked. Restart it when it does not."""
    return JsonResponse({"status": "live"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> HttpResponse:
    """200 when requests may be sent here, else 503; each check is named."""
    checks = readiness()
    well = all(check.ready for check in checks)
    body = {
        "status": "ready" if well else "not ready",
        "checks": {check.name: {"ok": check.ok, "says": check.says} for check in checks},
    }
    return JsonResponse(body, status=200 if well else 503)


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    refusal = metrics_refusal(request)
    if refusal is Refusal.CLOSED:
        raise Http404("The metrics are not switched on.")
    if refusal is Refusal.UNKNOWN:
        return HttpResponse(
            "Send the metrics token: Authorization: Bearer TOKEN.\n",
            status=401,
            content_type="text/plain",
            headers={"WWW-Authenticate": 'Bearer realm="metrics"'},
        )
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry_make()), content_type=content_type)
