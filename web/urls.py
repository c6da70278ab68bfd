from __future__ import annotations

from django.urls import URLPattern, path

from . import views

app_name = "web"
urlpatterns: list[URLPattern] = [
    path("", views.home, name="home"),
    path("notices/", views.notices, name="notices"),
    path("notices/read/", views.notices_all_read, name="notices_all_read"),
    path("notices/<uuid:notice_id>/", views.notice_open, name="notice_open"),
    path("audit/", views.audit, name="audit"),
]
