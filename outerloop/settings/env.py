"""Typed reading of environment variables: a wrong value is an error that names the variable."""

from __future__ import annotations

import os
from collections.abc import Sequence
from urllib.parse import parse_qs, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off"}


def env_str(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if value is None or (value == "" and default is None):
        raise ImproperlyConfigured(f"Set the environment variable {name}.")
    return value


def env_bool(name: str, default: bool) -> bool:
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    if raw.lower() in TRUE:
        return True
    if raw.lower() in FALSE:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}; use 1 or 0 (also true/false, yes/no, on/off).")


def env_int(name: str, default: int, *, minimum: int = 0) -> int:
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    try:
        value = int(raw)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {raw!r}; use a whole number.") from error
    if value < minimum:
        raise ImproperlyConfigured(f"{name} is {value}; it must be at least {minimum}.")
    return value


def env_choice(name: str, default: str, choices: Sequence[str]) -> str:
    """One of `choices`, in the spelling given there; capitals do not count."""
    raw = os.environ.get(name) or default
    found = {choice.lower(): choice for choice in choices}.get(raw.lower())
    if found is None:
        raise ImproperlyConfigured(f"{name} is {raw!r}; use one of {', '.join(choices)}.")
    return found


def env_secret(name: str, *, shortest: int = 16) -> str:
    """A shared secret, or empty where the variable is not set; a short one is refused."""
    value = os.environ.get(name, "")
    if value and len(value) < shortest:
        raise ImproperlyConfigured(
            f"{name} is too short; use at least {shortest} random characters."
        )
    return value


def env_list(name: str, default: str = "") -> list[str]:
    return [item.strip() for item in os.environ.get(name, default).split(",") if item.strip()]


def database_from_url(name: str, url: str) -> dict[str, object]:
    """Django's DATABASES entry for a postgresql:// URL; `host` may be a socket folder in the query."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"{name} begins with {parts.scheme or 'nothing'!r}; Outerloop keeps its data in PostgreSQL:"
            " use postgresql://user:password@host:5432/database."
        )
    database = unquote(parts.path.lstrip("/"))
    if not database:
        raise ImproperlyConfigured(f"{name} names no database; end it with /database.")
    try:
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} has a port that is not a number.") from error
    query = parse_qs(parts.query)
    host = query.get("host", [unquote(parts.hostname or "")])[0]
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": database,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or ""),
    }
