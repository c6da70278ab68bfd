from __future__ import annotations

from django.urls import path

from . import job_views, views

app_name = "runs"
urlpatterns = [
    path("runs/", views.run_list, name="runs"),
    path("runs/<uuid:run_id>/", views.run_page, name="run"),
    path("runs/<uuid:run_id>/cancel/", views.run_cancel, name="cancel"),
    path("jobs/<uuid:run_id>/<int:attempt>/begin/", job_views.job_begin, name="job_begin"),
    path("jobs/<uuid:run_id>/<int:attempt>/tell/", job_views.job_tell, name="job_tell"),
    path("jobs/<uuid:run_id>/<int:attempt>/send/", job_views.job_send, name="job_send"),
    path("jobs/<uuid:run_id>/<int:attempt>/kept/", job_views.job_kept, name="job_kept"),
]
