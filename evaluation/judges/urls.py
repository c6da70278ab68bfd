from __future__ import annotations

from django.urls import path

from evaluation.judges import views

app_name = "judges"
urlpatterns = [
    path("judge/<uuid:line_id>/", views.judge, name="judge"),
    path("judge/<uuid:line_id>/try/", views.judge_try, name="try"),
]
