from __future__ import annotations

from django.urls import URLPattern, path

from . import views

app_name = "monitoring"
urlpatterns: list[URLPattern] = [
    path("health/live", views.live, name="live"),
    path("health/ready", views.ready, name="ready"),
    path("metrics", views.metrics, name="metrics"),
]
