"""Typed reading of environment variables: a wrong value is an error that names the variable."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from urllib.parse import parse_qs, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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


def env_port(name: str, default: int) -> int:
    value = env_int(name, default, minimum=1)
    if value > 65_535:
        raise ImproperlyConfigured(f"{name} is {value}; a port is at most 65535.")
    return value


def env_time_zone(name: str, default: str) -> str:
    value = os.environ.get(name) or default
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ImproperlyConfigured(
            f"{name} is {value!r}, which is no time zone; use a name such as Europe/Berlin."
        ) from error
    return value


def env_url(name: str, default: str) -> str:
    value = os.environ.get(name) or default
    if not re.fullmatch(r"https?://[^\s/;,]+(/[^\s;,]*)?", value):
        raise ImproperlyConfigured(f"{name} is {value!r}; write it as https://host.example.org.")
    return value


def env_origins(name: str) -> list[str]:
    """Scheme and host of other sites: they go into a header, so that nothing else may stand there."""
    for value in (values := env_list(name)):
        if not re.fullmatch(r"https?://[^\s/;,'\"]+", value):
            raise ImproperlyConfigured(
                f"{name} holds {value!r}; write origins such as https://login.example.org."
            )
    return values


def env_file(name: str) -> str:
    value = os.environ.get(name, "")
    if value and not os.path.isfile(value):
        raise ImproperlyConfigured(
            f"{name} names {value}, which is not there; mend it or unset it."
        )
    return value


def broker_checked(name: str, url: str) -> str:
    """The URL of a message broker as it is; one without a scheme is refused."""
    if url and not re.match(r"[a-z][a-z0-9+]*://", url):
        raise ImproperlyConfigured(
            f"{name} is {url!r}; begin it with redis://, amqp:// or another broker's scheme."
        )
    return url
