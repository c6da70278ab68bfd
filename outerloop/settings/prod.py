"""Behind HTTPS, with every secret from the environment: nothing here has a default secret."""

from __future__ import annotations

from .base import *  # noqa: F403
from .env import env_bool, env_hosts, env_int, env_secret, env_str
from .logs import logging_settings

DEBUG = False
# Processes that sign nothing are started with "none" and cannot lose the key; see `web.secret_key`.
KEYLESS = env_str("OUTERLOOP_SECRET_KEY") == "none"
SECRET_KEY = "" if KEYLESS else env_secret("OUTERLOOP_SECRET_KEY", shortest=32)
ALLOWED_HOSTS = env_hosts("OUTERLOOP_ALLOWED_HOSTS") or [env_str("OUTERLOOP_ALLOWED_HOSTS")]
# Django writes "every name below" with a leading dot for hosts, and with a star for origins.
CSRF_TRUSTED_ORIGINS = [
    f"https://{'*' if host.startswith('.') else ''}{host}" for host in ALLOWED_HOSTS if host != "*"
]

SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env_bool("OUTERLOOP_SSL_REDIRECT", True)
# Asked on this machine or inside the network of the containers, where no TLS ends.
SECURE_REDIRECT_EXEMPT = [r"^health/(live|ready)$", r"^metrics$"]
SECURE_HSTS_SECONDS = env_int("OUTERLOOP_HSTS_SECONDS", 31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
# How many proxies of yours stand before the site: sign-in attempts are counted by the caller's address.
ALLAUTH_TRUSTED_PROXY_COUNT = env_int("OUTERLOOP_PROXIES", 1)

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

LOGGING = logging_settings("json")
