"""Tests: the embedded server, quick password hashes, mail in memory, artifacts in a throwaway place."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from .base import *  # noqa: F403

DEBUG = False
SECRET_KEY = "test-only"  # noqa: S105
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
ALLOWED_HOSTS = ["*"]
VAR_DIR = Path(
    os.environ.get("OUTERLOOP_TEST_VAR") or tempfile.gettempdir(), f"outerloop-test-{os.getpid()}"
)
ARTIFACT_ROOT = VAR_DIR / "artifacts"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
ACCOUNT_RATE_LIMITS: dict[str, str] = {}
