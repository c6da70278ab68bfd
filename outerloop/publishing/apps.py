from __future__ import annotations

from django.apps import AppConfig
from django.urls import reverse

from web.registry import ModelLink, register


class PublishingConfig(AppConfig):
    name = "outerloop.publishing"
    label = "publishing"

    def ready(self) -> None:
        register(ModelLink("publishing.push", "Push", _address))


def _address(version_id: object) -> str:
    return reverse("publishing:new", args=[version_id])
