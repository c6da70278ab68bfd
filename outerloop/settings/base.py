"""Settings shared by every way of running; `dev`, `test` and `prod` complete them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from outerloop.embedded_postgres import server_url

from .env import (
    broker_checked,
    database_from_url,
    env_bool,
    env_file,
    env_int,
    env_list,
    env_origins,
    env_port,
    env_secret,
    env_str,
    env_time_zone,
    env_url,
)
from .logs import logging_settings

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(env_str("OUTERLOOP_VAR", str(BASE_DIR / "var"))).resolve()
ARTIFACT_ROOT = Path(env_str("OUTERLOOP_ARTIFACTS", str(VAR_DIR / "artifacts"))).resolve()

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "web",  # before allauth, so that its templates are found first
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "django_celery_beat",
    "outerloop.rounds",
    "outerloop.demo",
    "outerloop.operations.monitoring",
    "outerloop.operations",
    "annotation.accounts",
    "annotation.campaigns",
    "annotation.comparisons",
    "annotation.quality",
    "annotation.exchange",
    "training.runs",
    "evaluation.gates",
    "evaluation.reports",
]

MIDDLEWARE = [
    "web.middleware.request_id",  # first, so that every answer and log line has it
    "web.middleware.CompressedPages",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "web.tokens.BearerTokens",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "web.middleware.content_security_policy",
]

ROOT_URLCONF = "outerloop.urls"
WSGI_APPLICATION = "outerloop.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "web.context.page_frame",
            ],
        },
    }
]

DATABASE_URL = env_str("DATABASE_URL", "")
USES_EMBEDDED_POSTGRES = not DATABASE_URL
if USES_EMBEDDED_POSTGRES:
    DATABASE_URL = server_url()
DATABASES = {
    "default": {
        **database_from_url("DATABASE_URL", DATABASE_URL),
        "CONN_MAX_AGE": env_int("OUTERLOOP_CONN_MAX_AGE", 60),
        "CONN_HEALTH_CHECKS": True,
    }
}
# Sign-in attempts are counted here, so that every process of the site sees the same count.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "outerloop_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# The broker is by default the database itself; a message is only a hint, see docs/decisions.
CELERY_BROKER_URL = broker_checked("CELERY_BROKER_URL", env_str("CELERY_BROKER_URL", "")) or (
    "sqla+" + DATABASE_URL.replace("postgres://", "postgresql://").replace("://", "+psycopg://", 1)
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_WORKER_HIJACK_ROOT_LOGGER = False

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "annotation.accounts.tokens.ApiTokenBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_REDIRECT_URL = "/"
LOGIN_URL = "account_login"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_ADAPTER = "annotation.accounts.adapters.InvitedOnlyAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = {"login_failed": "10/5m/ip,5/5m/key"}
ACCOUNT_LOGOUT_ON_GET = False
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = {}
SIGN_IN_ORIGINS = env_origins("OUTERLOOP_SIGN_IN_ORIGINS")
SESSION_COOKIE_AGE = env_int("OUTERLOOP_SESSION_DAYS", 14, minimum=1) * 86_400

LANGUAGE_CODE = "en"
TIME_ZONE = env_time_zone("OUTERLOOP_TIME_ZONE", "UTC")
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"

EMAIL_HOST = env_str("EMAIL_HOST", "")
EMAIL_PORT = env_port("EMAIL_PORT", 25)
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env_str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", False)
DEFAULT_FROM_EMAIL = env_str("OUTERLOOP_FROM_EMAIL", "outerloop@localhost")
EMAIL_BACKEND = (
    "django.core.mail.backends.smtp.EmailBackend"
    if EMAIL_HOST
    else "django.core.mail.backends.dummy.EmailBackend"
)

# Imports: the longest line and the largest file, unpacked, that are taken in.
IMPORT_LINE_MB = env_int("OUTERLOOP_IMPORT_LINE_MB", 16, minimum=1)
IMPORT_FILE_MB = env_int("OUTERLOOP_IMPORT_FILE_MB", 10_000, minimum=1)

# Learning programs.
OUTERLOOP_ACCELERATE_CONFIG = env_file("OUTERLOOP_ACCELERATE_CONFIG")
OUTERLOOP_LEASE_SECONDS = env_int("OUTERLOOP_LEASE_SECONDS", 60, minimum=5)
OUTERLOOP_HEARTBEAT_SECONDS = env_int("OUTERLOOP_HEARTBEAT_SECONDS", 5, minimum=1)
if OUTERLOOP_HEARTBEAT_SECONDS >= OUTERLOOP_LEASE_SECONDS:
    raise ImproperlyConfigured(
        f"OUTERLOOP_HEARTBEAT_SECONDS is {OUTERLOOP_HEARTBEAT_SECONDS}, but a lease lasts"
        f" {OUTERLOOP_LEASE_SECONDS} s: set it well below OUTERLOOP_LEASE_SECONDS."
    )
OUTERLOOP_SITE_URL = env_url("OUTERLOOP_SITE_URL", "http://127.0.0.1:8000")
POLICY_SERVER_HOST = env_str("POLICY_SERVER_HOST", "127.0.0.1")
POLICY_SERVER_PORT = env_port("POLICY_SERVER_PORT", 8001)

ALLOWED_HOSTS = env_list("OUTERLOOP_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")

# What `manage.py retention` keeps; nightly only where somebody asks for it.
OUTERLOOP_RETENTION_DAYS = env_int("OUTERLOOP_RETENTION_DAYS", 30, minimum=1)
OUTERLOOP_RETENTION_ROUNDS = env_int("OUTERLOOP_RETENTION_ROUNDS", 3, minimum=1)
OUTERLOOP_RETENTION_NIGHTLY = env_bool("OUTERLOOP_RETENTION_NIGHTLY", False)

# Who may read /metrics: whoever sends the token, or programs on this machine; by default nobody.
OUTERLOOP_METRICS_TOKEN = env_secret("OUTERLOOP_METRICS_TOKEN")
OUTERLOOP_METRICS_LOCAL = env_bool("OUTERLOOP_METRICS_LOCAL", False)

LOGGING = logging_settings("text")
