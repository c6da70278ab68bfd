from __future__ import annotations

from django.urls import path

from evaluation.reports import views

app_name = "reports"
urlpatterns = [
    path("lines/<slug:slug>/rounds/<int:number>/report/", views.report, name="report"),
    path(
        "lines/<slug:slug>/rounds/<int:number>/report.json", views.report_json, name="report_json"
    ),
    path(
        "lines/<slug:slug>/rounds/<int:number>/report.html", views.report_html, name="report_html"
    ),
    path("lines/<slug:slug>/rounds/<int:number>/report.pdf", views.report_pdf, name="report_pdf"),
    path("lines/<slug:slug>/reports/", views.history, name="history"),
]
