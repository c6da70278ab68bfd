from __future__ import annotations

from django.urls import path

from . import views

app_name = "demo"
urlpatterns = [
    path("lines/<slug:slug>/overoptimise/", views.overoptimise, name="overoptimise"),
]
