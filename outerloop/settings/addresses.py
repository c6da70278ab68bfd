"""The addresses of database and broker, taken apart: every part is passed on, or refused by its name."""

from __future__ import annotations

import re
import ssl
from typing import NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from psycopg import pq

# Written before the question mark, and there alone.
BEFORE_THE_QUERY = {"user", "password", "dbname"}

TLS_SCHEMES = {"rediss", "amqps"}
TLS_NAMES = {"ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_check_hostname"}
# A message is a hint: whoever sends one waits no longer than this for a broker that is silent.
BROKER_SECONDS = 2.0
# A page that finds a replica away connects to it no longer than this.
REPLICA_SECONDS = "2"
USED_IN_QUERY = {"rediss": TLS_NAMES, "amqps": TLS_NAMES, "redis+socket": {"virtual_host"}}
CERTIFICATES = {
    "required": ssl.CERT_REQUIRED,
    "optional": ssl.CERT_OPTIONAL,
    "none": ssl.CERT_NONE,
}


def database_from_url(name: str, url: str) -> dict[str, object]:
    """Django's DATABASES entry for a postgresql:// URL.

    The query holds parameters of libpq, as `sslmode=verify-full&sslrootcert=/etc/ca.pem`; `host` may be
    a socket folder there. What libpq does not know is refused.
    """
    parts = urlsplit(_whole(name, url))
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
    options = libpq_options(name, parts.query)
    return {
        "ENGINE": "outerloop.database",
        "NAME": database,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": options.pop("port", str(port or "")),
        "OPTIONS": options,
    }


def replica_from_url(name: str, url: str, primary: dict[str, object]) -> dict[str, object]:
    """The entry of a copy of `primary`: connected as that is, but given up sooner, as nothing waits for it."""
    found = database_from_url(name, url)
    options = {"connect_timeout": REPLICA_SECONDS, **cast(dict[str, object], found["OPTIONS"])}
    return {**primary, **found, "OPTIONS": options, "TEST": {"MIRROR": "default"}}


def libpq_options(name: str, query: str) -> dict[str, str]:
    """The parameters of libpq that a query holds; another, or one of them twice, is refused."""
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} - BEFORE_THE_QUERY
    options = _query(name, query)
    for key in options:
        if key in BEFORE_THE_QUERY:
            raise ImproperlyConfigured(
                f"{name} has {key} in its query; write postgresql://user:password@host/database."
            )
        if key not in known:
            raise ImproperlyConfigured(
                f"{name} has {key!r} in its query, which PostgreSQL does not know; take it out."
            )
    return options


class Broker(NamedTuple):
    """`tls` is for Celery's BROKER_USE_SSL: False without TLS, else what the transport takes."""

    url: str
    tls: bool | dict[str, object]


def broker_from_url(name: str, url: str) -> Broker:
    """The address of a message broker, or several with ; between them.

    With TLS (rediss, amqps) the broker's certificate is checked, unless the query says
    `ssl_cert_reqs=none`. Its other names are `TLS_NAMES`; what kombu would drop is refused.
    """
    found = [_broker_one(name, each) for each in url.split(";")]
    if len({str(broker.tls) for broker in found}) > 1:
        raise ImproperlyConfigured(f"{name} names brokers with different TLS: give all the same.")
    return Broker(";".join(broker.url for broker in found), found[0].tls)


def broker_transport(url: str) -> dict[str, object]:
    """What the transport of a broker needs so that neither connecting nor reading takes for ever."""
    if url.startswith(("redis", "sentinel")):
        return {
            "socket_connect_timeout": BROKER_SECONDS,
            "socket_timeout": BROKER_SECONDS,
            "socket_keepalive": True,
        }
    if url.startswith(("amqp", "pyamqp")):
        return {"read_timeout": BROKER_SECONDS, "write_timeout": BROKER_SECONDS}
    return {}  # the database: its connections are bounded in outerloop.database


def _broker_one(name: str, url: str) -> Broker:
    if not re.match(r"[a-z][a-z0-9+]*://", url):
        raise ImproperlyConfigured(
            f"{name} is {url!r}; begin it with redis://, amqp:// or another broker's scheme."
        )
    parts = urlsplit(_whole(name, url))
    if parts.scheme.startswith("sqla+"):
        libpq_options(name, parts.query)
        return Broker(url, False)
    options = _query(name, parts.query)
    for key in options.keys() - USED_IN_QUERY.get(parts.scheme, set()):
        hint = " It needs rediss:// or amqps://." if key in TLS_NAMES else ""
        raise ImproperlyConfigured(
            f"{name} has {key!r} in its query, which would not be used; take it out.{hint}"
        )
    if parts.scheme in TLS_SCHEMES:
        return Broker(url.partition("?")[0], _tls(name, parts.scheme, options))
    return Broker(url, False)


def _tls(name: str, scheme: str, options: dict[str, str]) -> dict[str, object]:
    """For redis with `ssl_` before each name, for AMQP without; the certificate names the host."""
    asked = options.pop("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if asked not in CERTIFICATES:
        raise ImproperlyConfigured(
            f"{name} has ssl_cert_reqs={asked}; use one of {', '.join(CERTIFICATES)}."
        )
    named = options.pop("ssl_check_hostname", str(asked == "required")).lower()
    if named not in {"true", "false"}:
        raise ImproperlyConfigured(f"{name} has ssl_check_hostname={named}; use true or false.")
    found: dict[str, object] = {"ssl_cert_reqs": CERTIFICATES[asked], **options}
    if scheme == "rediss":
        return {**found, "ssl_check_hostname": named == "true"}
    plain = {key.removeprefix("ssl_"): value for key, value in found.items()}
    # kombu fills in the host of the address; without the key the certificate may name any host.
    return {**plain, "server_hostname": None} if named == "true" else plain


def _whole(name: str, url: str) -> str:
    """The address, which no # may cut short: what follows one is silently left out by every reader."""
    if "#" in url:
        raise ImproperlyConfigured(f"{name} holds a #; write it as %23.")
    return url


def _query(name: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name} has a query that is no key=value&key=value.") from error
    found = dict(pairs)
    for key, value in pairs:
        if not value or found[key] != value or [k for k, _ in pairs].count(key) > 1:
            raise ImproperlyConfigured(f"{name} has {key!r} in its query without a value or twice.")
    return found
