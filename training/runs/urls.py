from __future__ import annotations

from django.urls import path

from . import views

app_name = "runs"
urlpatterns = [
    path("runs/", views.run_list, name="runs"),
    path("runs/<uuid:run_id>/", views.run_page, name="run"),
    path("runs/<uuid:run_id>/cancel/", views.run_cancel, name="cancel"),
]
