from __future__ import annotations

from django.urls import URLPattern, path

from . import (
    adjudication_views,
    answer_views,
    exclusion_views,
    gold_views,
    own_views,
    progress_views,
    qualification_views,
    question_views,
    views,
)

CAMPAIGN = "campaigns/<uuid:campaign_id>/"
QUALITY = CAMPAIGN + "quality/"
PAIR = CAMPAIGN + "pairs/<uuid:pair_id>/"

app_name = "quality"
urlpatterns: list[URLPattern] = [
    path(CAMPAIGN + "gold/", gold_views.gold_list, name="gold_list"),
    path(CAMPAIGN + "gold/new/", gold_views.gold_new, name="gold_new"),
    path(PAIR, gold_views.pair, name="pair"),
    path(PAIR + "gold/", gold_views.gold_of_pair, name="gold_of_pair"),
    path(PAIR + "retire/", gold_views.gold_retire, name="gold_retire"),
    path(CAMPAIGN + "disagreements/", adjudication_views.disagreement_list, name="disagreements"),
    path(PAIR + "settle/", adjudication_views.settle, name="settle"),
    path(PAIR + "unsettle/", adjudication_views.unsettle, name="unsettle"),
    path(PAIR + "answers/<uuid:judgment_id>/send-back/", answer_views.send_back, name="send_back"),
    path("returned/<uuid:return_id>/", answer_views.returned, name="returned"),
    path("qualify/<uuid:campaign_id>/", qualification_views.qualify, name="qualify"),
    path(
        "qualify/<uuid:campaign_id>/begin/",
        qualification_views.qualification_begin,
        name="qualification_begin",
    ),
    path(CAMPAIGN + "qualification/", qualification_views.qualification_list, name="qualification"),
    path("ask/<uuid:assignment_id>/", question_views.ask, name="ask"),
    path(CAMPAIGN + "questions/", question_views.question_list, name="questions"),
    path(CAMPAIGN + "questions/<uuid:assignment_id>/", question_views.question, name="question"),
    path(CAMPAIGN + "held/", answer_views.lease_list, name="leases"),
    path(
        CAMPAIGN + "held/<uuid:assignment_id>/release/",
        answer_views.lease_release,
        name="lease_release",
    ),
    path(CAMPAIGN + "left-out/", exclusion_views.exclusion_list, name="exclusions"),
    path(CAMPAIGN + "left-out/new/", exclusion_views.exclusion_new, name="exclusion_new"),
    path(
        CAMPAIGN + "left-out/<uuid:exclusion_id>/",
        exclusion_views.exclusion_lift,
        name="exclusion_lift",
    ),
    path(QUALITY, views.quality, name="campaign"),
    path(QUALITY + "people.csv", views.people_csv, name="people_csv"),
    path(QUALITY + "people/<uuid:rater_id>/", views.person_quality, name="person"),
    path(QUALITY + "answers/", views.answers, name="answers"),
    path(QUALITY + "skips/", views.skips, name="skips"),
    path(QUALITY + "ask-again/", views.ask_again, name="ask_again"),
    path(QUALITY + "time.csv", own_views.time_csv, name="time_csv"),
    path(CAMPAIGN + "progress/", progress_views.progress, name="progress"),
    path(CAMPAIGN + "progress.csv", progress_views.progress_csv, name="progress_csv"),
    path("my-work/", own_views.own, name="own"),
    path("my-work/time.csv", own_views.own_csv, name="own_csv"),
]
