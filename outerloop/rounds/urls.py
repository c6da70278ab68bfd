from __future__ import annotations

from django.urls import path

from . import plan_part_views, set_up_views, signal_views, suite_views, views

app_name = "rounds"
urlpatterns = [
    path("lines/", views.line_list, name="lines"),
    path("lines/new/", set_up_views.line_new, name="line_new"),
    path("lines/<slug:slug>/", views.line_page, name="line"),
    path("lines/<slug:slug>/set-up/", set_up_views.set_up_page, name="set_up"),
    path("lines/<slug:slug>/set-up/base/", set_up_views.base_page, name="base"),
    path("lines/<slug:slug>/schedule/", views.schedule_page, name="schedule"),
    path("lines/<slug:slug>/promotions/", views.promotions_page, name="promotions"),
    path("lines/<slug:slug>/plan/", views.plan_page, name="plan"),
    path("lines/<slug:slug>/plan/optimizer/", plan_part_views.optimizer_save, name="optimizer"),
    path("lines/<slug:slug>/suites/", suite_views.suites_page, name="suites"),
    path("lines/<slug:slug>/suites/task/", suite_views.suite_task, name="suite_task"),
    path(
        "lines/<slug:slug>/suites/task/<uuid:check_id>/",
        suite_views.suite_check,
        name="suite_check",
    ),
    path(
        "lines/<slug:slug>/suites/task/<uuid:check_id>/stop/",
        suite_views.suite_check_stop,
        name="suite_check_stop",
    ),
    path(
        "lines/<slug:slug>/suites/<int:suite_id>/detach/",
        suite_views.suite_detach,
        name="suite_detach",
    ),
    path("lines/<slug:slug>/signals/", signal_views.signals_page, name="signals"),
    path("lines/<slug:slug>/signals/prompts/", signal_views.prompts_add, name="signals_prompts"),
    path("lines/<slug:slug>/archive/", views.archive, name="archive"),
    path("lines/<slug:slug>/start/", views.start, name="start"),
    path("lines/<slug:slug>/first-pairs/", views.first_pairs, name="first_pairs"),
    path("lines/<slug:slug>/plan/jobs/", plan_part_views.jobs_save, name="jobs"),
    path("lines/<slug:slug>/dry-run/", views.dry_run, name="dry_run"),
    path("lines/<slug:slug>/rounds/<int:number>/", views.round_page, name="round"),
    path("lines/<slug:slug>/rounds/<int:number>/cancel/", views.cancel, name="cancel"),
    path("lines/<slug:slug>/rounds/<int:number>/take-up/", views.take_up, name="take_up"),
    path("lines/<slug:slug>/rounds/<int:number>/approve/", views.approve, name="approve"),
    path(
        "lines/<slug:slug>/rounds/<int:number>/override/",
        views.override_request,
        name="override_request",
    ),
    path(
        "lines/<slug:slug>/rounds/<int:number>/override/<uuid:override_id>/",
        views.override_confirm,
        name="override_confirm",
    ),
]
