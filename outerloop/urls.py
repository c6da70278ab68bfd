"""Every address of the site; each app keeps its own."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("api/v1/", include("outerloop.api")),
    path("", include("web.urls")),
    path("", include("outerloop.rounds.urls")),
    path("", include("outerloop.webhooks.urls")),
    path("", include("outerloop.publishing.urls")),
    path("", include("outerloop.demo.urls")),
    path("", include("outerloop.selftest.urls")),
    path("", include("outerloop.operations.monitoring.urls")),
    path("", include("annotation.accounts.urls")),
    path("", include("annotation.campaigns.urls")),
    path("", include("annotation.comparisons.urls")),
    path("", include("annotation.quality.urls")),
    path("", include("annotation.exchange.urls")),
    path("", include("training.runs.urls")),
    path("", include("evaluation.gates.urls")),
    path("", include("evaluation.judges.urls")),
    path("", include("evaluation.reports.urls")),
]

handler500 = "web.views.server_error"
