from __future__ import annotations

from django.urls import URLPattern, path

from . import views

app_name = "comparisons"
urlpatterns: list[URLPattern] = [
    path("compare/<uuid:campaign_id>/", views.compare, name="compare"),
    path("compare/<uuid:campaign_id>/next/", views.next_pairs, name="next"),
    path("compare/<uuid:campaign_id>/release/", views.release, name="release"),
    path("compare/<uuid:campaign_id>/undo/", views.undo, name="undo"),
    path("compare/<uuid:campaign_id>/edit/", views.edit, name="edit"),
    path("compare/<uuid:campaign_id>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/submit/", views.submit, name="submit"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/revise/", views.revise, name="revise"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/draft/", views.draft, name="draft"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/skip/", views.skip, name="skip"),
]
