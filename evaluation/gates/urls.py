from __future__ import annotations

from django.urls import path

from evaluation.gates import canary_views, shadow_views, views

app_name = "gates"
urlpatterns = [
    path("gate/<uuid:line_id>/policy/", views.gate_policy, name="policy"),
    path("gate/<uuid:line_id>/labels/", views.label_design, name="label_design"),
    path("gate/<uuid:line_id>/policy/edit/", views.gate_policy_edit, name="policy_edit"),
    path(
        "gate/<uuid:line_id>/policy/requests/<uuid:request_id>/",
        views.gate_policy_answer,
        name="policy_answer",
    ),
    path("gate/<uuid:line_id>/deployments/", views.deployments, name="deployments"),
    path(
        "gate/<uuid:line_id>/deployments/<uuid:version_id>/rollback/",
        views.rollback,
        name="rollback",
    ),
    path(
        "gate/<uuid:line_id>/canaries/<uuid:canary_id>/widen/",
        canary_views.widen,
        name="canary_widen",
    ),
    path(
        "gate/<uuid:line_id>/canaries/<uuid:canary_id>/take-back/",
        canary_views.take_back,
        name="canary_take_back",
    ),
    path("gate/<uuid:line_id>/shadows/", shadow_views.start, name="shadow_start"),
    path("gate/<uuid:line_id>/shadows/<uuid:shadow_id>/end/", shadow_views.end, name="shadow_end"),
]
