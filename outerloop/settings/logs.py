"""What is logged, and how: OUTERLOOP_LOG_LEVEL and OUTERLOOP_LOG_FORMAT."""

from __future__ import annotations

from typing import Any

from .env import env_choice

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def logging_settings(default_format: str) -> dict[str, Any]:
    """Django's LOGGING. `text` leaves out a line for each request, which JSON has."""
    form = env_choice("OUTERLOOP_LOG_FORMAT", default_format, ("text", "json"))
    level = env_choice("OUTERLOOP_LOG_LEVEL", "INFO", LEVELS)
    formatter = {"text": "TextFormatter", "json": "JsonFormatter"}[form]
    loud = {"handlers": ["stderr"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"web.logs.{formatter}"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "outerloop.requests": {"level": level if form == "json" else "WARNING"},
            # Their lines for every message and every tick of the schedule tell nobody anything.
            "celery": {"level": max(level, "WARNING", key=LEVELS.index)},
            "kombu": {"level": max(level, "WARNING", key=LEVELS.index)},
            "gunicorn.error": loud,
        },
    }
