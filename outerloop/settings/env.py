"""Typed reading of environment variables: a wrong value is an error that names the variable."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from ipaddress import ip_network
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


def env_int(name: str, default: int, *, minimum: int = 0, maximum: int | None = None) -> int:
    raw = os.environ.get(name)
    if raw is None or raw == "":
        return default
    try:
        value = int(raw)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} is {raw!r}; use a whole number.") from error
    if value < minimum:
        raise ImproperlyConfigured(f"{name} is {value}; it must be at least {minimum}.")
    if maximum is not None and value > maximum:
        raise ImproperlyConfigured(f"{name} is {value}; it must be at most {maximum}.")
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


def env_matching(name: str, pattern: str, what: str, *, default: str = "") -> str:
    """`default` where nothing is set, or a value of this shape; `what` is that shape in words."""
    value = os.environ.get(name) or default
    if value and not re.fullmatch(pattern, value):
        raise ImproperlyConfigured(f"{name} is {value!r}; write {what}.")
    return value


def env_list_matching(name: str, pattern: str, what: str) -> list[str]:
    for value in (values := env_list(name)):
        if not re.fullmatch(pattern, value):
            raise ImproperlyConfigured(f"{name} holds {value!r}; write {what}.")
    return values


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
    """The address of a site, without what no link could begin with: a query or a fragment."""
    value = os.environ.get(name) or default
    if not re.fullmatch(r"https?://[^\s/;,?#@]+(/[^\s;,?#]*)?", value):
        raise ImproperlyConfigured(f"{name} is {value!r}; write it as https://host.example.org.")
    return value


def env_host(name: str, default: str) -> str:
    """A host name or address alone: a scheme, port or path beside it would not be used."""
    value = os.environ.get(name) or default
    if not _is_host(value):
        raise ImproperlyConfigured(
            f"{name} is {value!r}; give the host alone, without scheme, port or path."
        )
    return value


def env_hosts(name: str, default: str = "") -> list[str]:
    """Host names for ALLOWED_HOSTS: `*`, `.example.org` for every name below it, `[::1]`."""
    for value in (values := env_list(name, default)):
        if value != "*" and not _is_host(value.removeprefix(".")):
            raise ImproperlyConfigured(
                f"{name} holds {value!r}; give host names alone, without scheme, port or path."
            )
    return values


def _is_host(value: str) -> bool:
    """A name, an IPv4 address, or an IPv6 address with or without brackets; empty is one as well."""
    return bool(
        re.fullmatch(
            r"[\w.-]*|\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*", value
        )
    )


def env_receivers(name: str) -> list[str]:
    """Host names, addresses and networks such as 10.1.0.0/16, of machines that requests may go to."""
    for value in (values := env_list(name)):
        try:
            ip_network(value)
        except ValueError as error:
            named = re.fullmatch(r"[A-Za-z0-9_]([\w.-]*[A-Za-z0-9])?", value)
            if not named or re.fullmatch(r"[\d.]+", value):
                raise ImproperlyConfigured(
                    f"{name} holds {value!r}; give host names, addresses, or networks such as 10.1.0.0/16"
                    " (zeros after the part that is the network), without scheme or port."
                ) from error
    return values


def env_origins(name: str) -> list[str]:
    """Scheme and host of other sites: they go into a header, so that nothing else may stand there."""
    for value in (values := env_list(name)):
        if not re.fullmatch(r"https?://[^\s/;,'\"]+", value):
            raise ImproperlyConfigured(
                f"{name} holds {value!r}; write origins such as https://login.example.org."
            )
    return values


def env_folders(name: str) -> list[str]:
    """Folders by their full path; a relative one would mean another place in every process."""
    for value in (values := env_list(name)):
        if not os.path.isabs(value):
            raise ImproperlyConfigured(f"{name} holds {value!r}; give folders by their full path.")
    return values


def env_modules(name: str) -> list[str]:
    """Python modules or packages, as `lab.rewards`."""
    for value in (values := env_list(name)):
        if not all(part.isidentifier() for part in value.split(".")):
            raise ImproperlyConfigured(
                f"{name} holds {value!r}; give modules or packages as in lab.rewards, without a function."
            )
    return values


def env_file(name: str) -> str:
    value = os.environ.get(name, "")
    if value and not os.path.isfile(value):
        raise ImproperlyConfigured(
            f"{name} names {value}, which is not there; mend it or unset it."
        )
    return value


def env_keys(name: str) -> dict[str, str]:
    """Keys by the host they are for, written HOST=KEY or HOST:PORT=KEY; no error shows any of it."""
    keys: dict[str, str] = {}
    for number, item in enumerate(env_list(name), start=1):
        host, _, key = item.partition("=")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+(:\d{1,5})?", host) or not re.fullmatch(
            r"[!-~]+", key
        ):
            raise ImproperlyConfigured(
                f"{name}: entry {number} is no HOST=KEY; write the host, with its port where it is not 443,"
                " and its key after =, without spaces."
            )
        keys[host.lower()] = key
    return keys
