from __future__ import annotations

from django.urls import path

from . import views

app_name = "webhooks"
urlpatterns = [
    path("webhooks/", views.webhook_list, name="list"),
    path("webhooks/new/", views.webhook_new, name="new"),
    path("webhooks/<uuid:webhook_id>/", views.webhook_detail, name="detail"),
    path("webhooks/<uuid:webhook_id>/edit/", views.webhook_edit, name="edit"),
    path("webhooks/<uuid:webhook_id>/switch/", views.webhook_switch, name="switch"),
    path("webhooks/<uuid:webhook_id>/secret/", views.webhook_secret, name="secret"),
    path("webhooks/<uuid:webhook_id>/test/", views.webhook_test, name="test"),
    path("webhooks/<uuid:webhook_id>/delete/", views.webhook_delete, name="delete"),
    path(
        "webhooks/<uuid:webhook_id>/deliveries/<int:delivery_id>/again/",
        views.delivery_again,
        name="again",
    ),
]
