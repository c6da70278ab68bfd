"""The development settings, with `FakeWorldConfig` beside the product's apps."""

from __future__ import annotations

from outerloop.settings.dev import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.support.fake_world.apps.FakeWorldConfig"]  # noqa: F405
