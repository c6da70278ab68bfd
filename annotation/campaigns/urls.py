from __future__ import annotations

from django.urls import URLPattern, path

from . import views

app_name = "campaigns"
urlpatterns: list[URLPattern] = [
    path("campaigns/", views.campaign_list, name="list"),
    path("campaigns/new/", views.campaign_new, name="new"),
    path("campaigns/<uuid:campaign_id>/", views.campaign_detail, name="detail"),
    path("campaigns/<uuid:campaign_id>/settings/", views.campaign_edit, name="edit"),
    path("campaigns/<uuid:campaign_id>/state/", views.campaign_state, name="state"),
    path("campaigns/<uuid:campaign_id>/guidelines/", views.guidelines, name="guidelines"),
]
