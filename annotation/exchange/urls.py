from __future__ import annotations

from django.urls import URLPattern, path

from . import exports_by_token, set_up_views, views

app_name = "exchange"
urlpatterns: list[URLPattern] = [
    path("data/", views.data, name="data"),
    path("set-up/<uuid:line_id>/prompts/", set_up_views.set_up, name="set_up"),
    path("data/import/", views.import_new, name="import"),
    path("data/imports/<uuid:job_id>/", views.import_job, name="import_job"),
    path("data/imports/<uuid:job_id>/cancel/", views.import_cancel, name="import_cancel"),
    path(
        "data/imports/<uuid:job_id>/rejections.csv",
        views.import_rejections,
        name="import_rejections",
    ),
    path("data/export/", views.export_new, name="export"),
    path("data/exports/<uuid:job_id>/", views.export_job, name="export_job"),
    path("data/exports/<uuid:job_id>/file/", views.export_file, name="export_file"),
    path("data/exports/<uuid:job_id>/cancel/", views.export_cancel, name="export_cancel"),
    path("api/exports/", exports_by_token.export_order, name="api_exports"),
    path("api/exports/<uuid:job_id>/", exports_by_token.export_state, name="api_export"),
]
