from __future__ import annotations

from django.urls import path

from . import views

app_name = "publishing"
urlpatterns = [
    path("models/<uuid:version_id>/push/", views.push_new, name="new"),
    path("pushes/<uuid:push_id>/", views.push_page, name="push"),
    path("pushes/<uuid:push_id>/cancel/", views.push_stop, name="cancel"),
]
