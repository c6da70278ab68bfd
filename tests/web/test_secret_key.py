"""A process that signs nothing is started without the key, and one that signs says so in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from annotation.signals.services import user_hash
from outerloop.webhooks.signing import secret_of
from web.secret_key import secret_key

PROD = {
    "DJANGO_SETTINGS_MODULE": "outerloop.settings.prod",
    "OUTERLOOP_ALLOWED_HOSTS": "outerloop.example",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/x",
}


def started(code: str, **more: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **PROD, **more}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
def test_a_site_without_the_key_does_not_start(server: str) -> None:
    code, said = started(f"import outerloop.{server}", OUTERLOOP_SECRET_KEY="none")
    assert code == 1
    assert "OUTERLOOP_SECRET_KEY is none here" in said


def test_a_worker_without_the_key_starts() -> None:
    words = "import django; django.setup(); import outerloop.celery; print('up')"
    assert started(words, OUTERLOOP_SECRET_KEY="none") == (0, "up\n")


def test_a_forgotten_or_short_key_ends_every_start() -> None:
    words = "import django; django.setup()"
    assert "Set the environment variable" in started(words, OUTERLOOP_SECRET_KEY="")[1]
    assert "is too short" in started(words, OUTERLOOP_SECRET_KEY="short")[1]


def test_what_signs_names_the_variable(settings) -> None:
    settings.SECRET_KEY = ""
    for act in (secret_key, lambda: secret_of("salt"), lambda: user_hash("ann")):
        with pytest.raises(ImproperlyConfigured, match="OUTERLOOP_SECRET_KEY is none here"):
            act()


def test_the_users_of_a_policy_are_hashed_under_a_key_of_their_own_where_there_is_one(
    settings,
) -> None:
    under_the_secret = user_hash("ann")
    settings.OUTERLOOP_SIGNALS_KEY = "k" * 40
    settings.SECRET_KEY = ""
    assert user_hash("ann") not in ("", under_the_secret, user_hash("bob"))
    assert user_hash("") == ""
