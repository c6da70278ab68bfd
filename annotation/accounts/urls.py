from __future__ import annotations

from django.urls import URLPattern, path

from . import preference_views, set_up_views, token_views, views

app_name = "accounts"
urlpatterns: list[URLPattern] = [
    path("accounts/preferences/", preference_views.preferences, name="preferences"),
    path("set-up/<uuid:line_id>/people/", set_up_views.set_up, name="set_up"),
    path("people/", views.people, name="people"),
    path("people/many/", views.people_many, name="people_many"),
    path("people/<uuid:user_id>/roles/", views.role_give, name="role_give"),
    path("people/<uuid:user_id>/roles/<int:membership_id>/", views.role_take, name="role_take"),
    path("people/<uuid:user_id>/state/", views.person_state, name="person_state"),
    path("tokens/", token_views.tokens, name="tokens"),
    path("tokens/<uuid:token_id>/revoke/", token_views.token_take, name="token_take"),
    path("people/<uuid:user_id>/erase/", views.erase, name="erase"),
]
