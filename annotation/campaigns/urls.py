from __future__ import annotations

from django.urls import URLPattern, path

from . import set_up_views, views

app_name = "campaigns"
urlpatterns: list[URLPattern] = [
    path("campaigns/", views.campaign_list, name="list"),
    path("campaigns/new/", views.campaign_new, name="new"),
    path("set-up/<uuid:line_id>/campaign/", set_up_views.set_up, name="set_up"),
    path("campaigns/<uuid:campaign_id>/", views.campaign_detail, name="detail"),
    path("campaigns/<uuid:campaign_id>/settings/", views.campaign_edit, name="edit"),
    path("campaigns/<uuid:campaign_id>/archive/", views.campaign_put_away, name="archive"),
    path("campaigns/<uuid:campaign_id>/state/", views.campaign_state, name="state"),
    path("campaigns/<uuid:campaign_id>/guidelines/", views.guidelines, name="guidelines"),
]
