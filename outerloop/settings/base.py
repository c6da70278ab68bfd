"""Settings shared by every way of running; `dev`, `test` and `prod` complete them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from outerloop.embedded_postgres import server_url

from .addresses import (
    BROKER_SECONDS,
    broker_from_url,
    broker_transport,
    database_from_url,
    replica_from_url,
)
from .artifacts import *  # noqa: F403
from .env import (
    env_bool,
    env_file,
    env_folders,
    env_host,
    env_hosts,
    env_int,
    env_keys,
    env_list,
    env_matching,
    env_modules,
    env_origins,
    env_port,
    env_receivers,
    env_secret,
    env_str,
    env_time_zone,
    env_url,
)
from .jobs import *  # noqa: F403
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
    "outerloop.webhooks",
    "outerloop.publishing",
    "outerloop.demo",
    "outerloop.selftest",
    "outerloop.operations.monitoring",
    "outerloop.operations",
    "annotation.accounts",
    "annotation.campaigns",
    "annotation.comparisons",
    "annotation.quality",
    "annotation.exchange",
    "annotation.signals",
    "training.runs",
    "evaluation.judges",
    "evaluation.gates",
    "evaluation.reports",
]

MIDDLEWARE = [
    "web.middleware.request_id",  # first, so that every answer and log line has it
    "web.places.Places",
    "outerloop.database.pages.page_patience",
    "outerloop.database.wrote.wrote_marked",
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
    "web.unsent.signed_out_forms",
]
CSRF_FAILURE_VIEW = "web.unsent.form_too_old"

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
# The server itself, where DATABASE_URL leads to a pooler that gives each transaction another session.
DATABASE_DIRECT_URL = env_str("DATABASE_DIRECT_URL", "")
if DATABASE_DIRECT_URL and USES_EMBEDDED_POSTGRES:
    raise ImproperlyConfigured(
        "DATABASE_DIRECT_URL is set and DATABASE_URL is not: the one is the way past a pooler, the other the"
        " pooler."
    )
DATABASE_DIRECT = (
    database_from_url("DATABASE_DIRECT_URL", DATABASE_DIRECT_URL) if DATABASE_DIRECT_URL else {}
)
# A standby that answers reads of history, and how many seconds it may be behind.
if DATABASE_REPLICA_URL := env_str("DATABASE_REPLICA_URL", ""):
    if USES_EMBEDDED_POSTGRES:
        raise ImproperlyConfigured(
            "DATABASE_REPLICA_URL is set and DATABASE_URL is not: the one is a copy of the other."
        )
    DATABASES["replica"] = replica_from_url(
        "DATABASE_REPLICA_URL", DATABASE_REPLICA_URL, DATABASES["default"]
    )
DATABASE_ROUTERS = ["outerloop.database.replica.HistoryRouter"]
OUTERLOOP_REPLICA_SECONDS = env_int("OUTERLOOP_REPLICA_SECONDS", 5, minimum=1)
# How long the database may be silent: while a page is made, and elsewhere (a migration may take long).
OUTERLOOP_PAGE_SECONDS = env_int("OUTERLOOP_PAGE_SECONDS", 20, minimum=1)
OUTERLOOP_DATABASE_SECONDS = env_int("OUTERLOOP_DATABASE_SECONDS", 900, minimum=1)
# Threads of a site process, and the requests that it works on at once: the others answer probes.
SITE_THREADS = 8
OUTERLOOP_PLACES = env_int("OUTERLOOP_PLACES", 6, minimum=1, maximum=SITE_THREADS - 1)
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
CELERY_BROKER_URL, CELERY_BROKER_USE_SSL = broker_from_url(
    "CELERY_BROKER_URL",
    env_str("CELERY_BROKER_URL", "")
    or re.sub(r"^postgres(ql)?://", "sqla+postgresql+psycopg://", DATABASE_URL),
)
CELERY_BROKER_TRANSPORT_OPTIONS = broker_transport(CELERY_BROKER_URL)
CELERY_BROKER_CONNECTION_TIMEOUT = BROKER_SECONDS
CELERY_BROKER_POOL_ACQUIRE_TIMEOUT = BROKER_SECONDS
# Once more at once, for a connection that a restart of the broker ended; the sweeper makes good the rest.
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "default"
# What takes as long as its file is large, or a program, has a queue and a worker of its own: no sweep waits for it.
JOB_TASKS = (
    "exchange.import_run",
    "exchange.export_run",
    "publishing.push_run",
    "rounds.task_check",
)
LONG_TASKS = (*JOB_TASKS, "operations.retention")
# A receiver of webhooks may be slow: nothing else waits behind it.
CELERY_TASK_ROUTES = {
    **{name: {"queue": "files"} for name in LONG_TASKS},
    "webhooks.send": {"queue": "webhooks"},
}
# The sweep sends a waiting job's message again and again; those that nobody took meanwhile go.
CELERY_TASK_ANNOTATIONS = {name: {"expires": 60} for name in (*JOB_TASKS, "webhooks.send")}
CELERY_TASK_ACKS_LATE = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "outerloop.rounds.beat:SweepingScheduler"
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
STATIC_ROOT = Path(env_str("OUTERLOOP_STATIC", str(VAR_DIR / "static"))).resolve()

EMAIL_HOST = env_host("EMAIL_HOST", "")
EMAIL_PORT = env_port("EMAIL_PORT", 25)
EMAIL_HOST_USER = env_str("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env_str("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env_bool("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env_bool("EMAIL_USE_SSL", False)
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    raise ImproperlyConfigured(
        "EMAIL_USE_TLS and EMAIL_USE_SSL are both 1: use the first where TLS starts on an open"
        " connection (port 587), the second where it is there from the beginning (port 465)."
    )
EMAIL_TIMEOUT = env_int("EMAIL_TIMEOUT", 5, minimum=1)
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
OUTERLOOP_CHILD_VARIABLES = env_list("OUTERLOOP_CHILD_VARIABLES")
OUTERLOOP_TRACKERS = env_list("OUTERLOOP_TRACKERS")
OUTERLOOP_TASK_FOLDERS = env_folders("OUTERLOOP_TASK_FOLDERS")
OUTERLOOP_MODEL_FOLDERS = env_folders("OUTERLOOP_MODEL_FOLDERS")
OUTERLOOP_REWARD_MODULES = env_modules("OUTERLOOP_REWARD_MODULES")
OUTERLOOP_LEASE_SECONDS = env_int("OUTERLOOP_LEASE_SECONDS", 60, minimum=5)
OUTERLOOP_HEARTBEAT_SECONDS = env_int("OUTERLOOP_HEARTBEAT_SECONDS", 5, minimum=1)
if OUTERLOOP_HEARTBEAT_SECONDS >= OUTERLOOP_LEASE_SECONDS:
    raise ImproperlyConfigured(
        f"OUTERLOOP_HEARTBEAT_SECONDS is {OUTERLOOP_HEARTBEAT_SECONDS}, but a lease lasts"
        f" {OUTERLOOP_LEASE_SECONDS} s: set it well below OUTERLOOP_LEASE_SECONDS."
    )
OUTERLOOP_SITE_URL = env_url("OUTERLOOP_SITE_URL", "http://127.0.0.1:8000")
OUTERLOOP_JOB_SITE = env_url("OUTERLOOP_JOB_SITE", OUTERLOOP_SITE_URL)
POLICY_SERVER_HOST = env_host("POLICY_SERVER_HOST", "127.0.0.1")
POLICY_SERVER_HOSTS = env_hosts("POLICY_SERVER_HOSTS")
POLICY_SERVER_PORT = env_port("POLICY_SERVER_PORT", 8001)
# Servers of each version behind that port, and the GPUs that are dealt out among them; empty: each sees all.
POLICY_SERVER_REPLICAS = env_int("POLICY_SERVER_REPLICAS", 1, minimum=1, maximum=64)
POLICY_SERVER_GPUS = env_list("POLICY_SERVER_GPUS")

ALLOWED_HOSTS = env_hosts("OUTERLOOP_ALLOWED_HOSTS", "127.0.0.1,localhost,[::1]")

# The programming interface: how often one token may ask in a minute.
OUTERLOOP_API_PER_MINUTE = env_int("OUTERLOOP_API_PER_MINUTE", 1_200, minimum=1)

# Requests to addresses that a person typed: receivers inside that may be asked, and http:// beside https://.
OUTERLOOP_OUTGOING_ALLOW = env_receivers("OUTERLOOP_OUTGOING_ALLOW")
OUTERLOOP_OUTGOING_HTTP = env_bool("OUTERLOOP_OUTGOING_HTTP", False)
# The keys of LLM judges, by host: a key goes to the host beside which an operator wrote it, nowhere else.
OUTERLOOP_JUDGE_KEYS = env_keys("OUTERLOOP_JUDGE_KEYS")
# Where models are pushed on demand: a model hub, and an MLflow registry.
OUTERLOOP_HUB = env_url("OUTERLOOP_HUB", "https://huggingface.co")
OUTERLOOP_HUB_TOKEN = env_secret("OUTERLOOP_HUB_TOKEN", shortest=8)
OUTERLOOP_MLFLOW = env_matching(
    "OUTERLOOP_MLFLOW",
    r"https?://[^\s/;,?#@]+(/[^\s;,?#]*)?|(file|sqlite):///\S+",
    "the address of an MLflow server, a folder as file:///path or a database as sqlite:////path",
)
# How long the log of webhooks is kept.
OUTERLOOP_WEBHOOK_DAYS = env_int("OUTERLOOP_WEBHOOK_DAYS", 30, minimum=1)

# What `manage.py retention` keeps; nightly only where somebody asks for it.
OUTERLOOP_RETENTION_DAYS = env_int("OUTERLOOP_RETENTION_DAYS", 30, minimum=1, maximum=36_500)
OUTERLOOP_RETENTION_ROUNDS = env_int("OUTERLOOP_RETENTION_ROUNDS", 3, minimum=1, maximum=1_000_000)
OUTERLOOP_RETENTION_NIGHTLY = env_bool("OUTERLOOP_RETENTION_NIGHTLY", False)

# Names of the policy's users are kept as hashes under this key, and without it under the secret key.
OUTERLOOP_SIGNALS_KEY = env_secret("OUTERLOOP_SIGNALS_KEY", shortest=32)
# How long an answer is kept for feedback, on lines that have signals switched on.
OUTERLOOP_SIGNALS_HOURS = env_int("OUTERLOOP_SIGNALS_HOURS", 168, minimum=1)
# Evidence (e-value) at which more thumbs down after a deployment are an alarm.
OUTERLOOP_SIGNALS_EVIDENCE = env_int("OUTERLOOP_SIGNALS_EVIDENCE", 100, minimum=2)

# Who may read /metrics: whoever sends the token, or programs on this machine; by default nobody.
OUTERLOOP_METRICS_TOKEN = env_secret("OUTERLOOP_METRICS_TOKEN")
OUTERLOOP_METRICS_LOCAL = env_bool("OUTERLOOP_METRICS_LOCAL", False)

LOGGING = logging_settings("text")
