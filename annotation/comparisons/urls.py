from __future__ import annotations

from django.urls import URLPattern, path

from . import blindness_views, conversation_views, history_views, opt_in_views, views

app_name = "comparisons"
urlpatterns: list[URLPattern] = [
    path("answers/", history_views.history_page, name="history"),
    path("campaigns/<uuid:campaign_id>/names/", blindness_views.names, name="names"),
    path("compare/<uuid:campaign_id>/", views.compare, name="compare"),
    path("compare/<uuid:campaign_id>/warning/", opt_in_views.warning, name="warning"),
    path("compare/<uuid:campaign_id>/opt-out/", opt_in_views.opt_out, name="opt_out"),
    path("compare/<uuid:campaign_id>/next/", views.next_pairs, name="next"),
    path("compare/<uuid:campaign_id>/release/", views.release, name="release"),
    path("compare/<uuid:campaign_id>/undo/", views.undo, name="undo"),
    path("compare/<uuid:campaign_id>/edit/", views.edit, name="edit"),
    path("compare/<uuid:campaign_id>/reopen/", views.reopen, name="reopen"),
    path("compare/<uuid:campaign_id>/acknowledge/", views.acknowledge, name="acknowledge"),
    path("compare/<uuid:campaign_id>/preferences/", views.preferences, name="preferences"),
    path("compare/<uuid:campaign_id>/say/", conversation_views.say, name="say"),
    path("compare/<uuid:campaign_id>/end/", conversation_views.end, name="end"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/submit/", views.submit, name="submit"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/revise/", views.revise, name="revise"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/draft/", views.draft, name="draft"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/skip/", views.skip, name="skip"),
    path("compare/<uuid:campaign_id>/<uuid:assignment_id>/park/", views.park, name="park"),
]
