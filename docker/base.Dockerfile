# What all images share: the locked packages, the code, and a user who is not root.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HUB_OFFLINE=1 \
    DJANGO_SETTINGS_MODULE=outerloop.settings.prod \
    OUTERLOOP_VAR=/srv/outerloop/var \
    OUTERLOOP_ARTIFACTS=/srv/outerloop/artifacts

RUN useradd --system --uid 10001 --create-home outerloop \
    && install --directory --owner outerloop --group outerloop /app /srv/outerloop/var /srv/outerloop/artifacts

WORKDIR /app
COPY requirements.lock ./
RUN pip install --requirement requirements.lock

COPY manage.py pyproject.toml ./
COPY outerloop outerloop
COPY annotation annotation
COPY training training
COPY evaluation evaluation

USER outerloop
