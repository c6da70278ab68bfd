"""Where artifacts are kept: in the folder of the settings, or in a bucket of S3-compatible object storage."""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured

from .env import env_int, env_matching

for _name in ("OUTERLOOP_ARTIFACT_STORE", "OUTERLOOP_S3_ENDPOINT"):
    if "@" in os.environ.get(_name, ""):  # not repeated: an error is logged
        raise ImproperlyConfigured(
            f"{_name} holds credentials: put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )

OUTERLOOP_ARTIFACT_STORE = env_matching(
    "OUTERLOOP_ARTIFACT_STORE",
    r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?",
    "s3://BUCKET or s3://BUCKET/PREFIX, or leave it empty to keep artifacts in OUTERLOOP_ARTIFACTS",
)
OUTERLOOP_S3_ENDPOINT = env_matching(
    "OUTERLOOP_S3_ENDPOINT",
    r"https?://[^\s/;,?#@]+(/[^\s;,?#]*)?",
    "an address such as https://storage.example.org, without credentials",
)
OUTERLOOP_S3_REGION = env_matching(
    "OUTERLOOP_S3_REGION", r"[a-z0-9-]+", "a region such as eu-central-1", default="us-east-1"
)
OUTERLOOP_S3_SECONDS = env_int("OUTERLOOP_S3_SECONDS", 15, minimum=1)
OUTERLOOP_CACHE_GB = env_int("OUTERLOOP_CACHE_GB", 100)
