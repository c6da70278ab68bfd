from __future__ import annotations

from django.urls import path

from . import views

app_name = "selftest"
urlpatterns = [
    path("selftest/", views.report, name="report"),
    path("selftest/report.json", views.report_json, name="report_json"),
]
