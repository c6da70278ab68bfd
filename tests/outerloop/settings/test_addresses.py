"""Nothing of an address is dropped: it reaches the driver, or it is refused by its name."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS
from django.db.backends.postgresql.base import DatabaseWrapper
from kombu import Connection

from outerloop.settings.addresses import broker_from_url, database_from_url, replica_from_url


def test_a_database_url_is_taken_apart():
    found = database_from_url("DATABASE_URL", "postgresql://me:p%40ss@db.example:5433/loop")
    assert found["HOST"] == "db.example"
    assert (found["NAME"], found["USER"], found["PASSWORD"]) == ("loop", "me", "p@ss")
    assert found["PORT"] == "5433"


def test_a_socket_folder_goes_into_the_host():
    found = database_from_url("DATABASE_URL", "postgresql://postgres@/loop?host=/run/x")
    assert (found["HOST"], found["PORT"]) == ("/run/x", "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://a/b", "mysql"),
        ("postgresql://host", "names no database"),
        ("postgresql://host:port/x", "not a number"),
    ],
)
def test_other_databases_are_refused(url, says):
    with pytest.raises(ImproperlyConfigured, match=says):
        database_from_url("DATABASE_URL", url)


def test_the_query_reaches_the_driver_whole():
    url = "postgresql://me@127.0.0.1:1/loop?sslmode=verify-full&sslrootcert=/nowhere/ca.pem&application_name=x"
    entry = database_from_url("DATABASE_URL", url)
    defaults = {
        "TIME_ZONE": None,
        "CONN_MAX_AGE": 0,
        "AUTOCOMMIT": True,
        "CONN_HEALTH_CHECKS": False,
    }
    sent = DatabaseWrapper({**defaults, **entry}, DEFAULT_DB_ALIAS).get_connection_params()
    wanted = {"sslmode": "verify-full", "sslrootcert": "/nowhere/ca.pem", "application_name": "x"}
    assert wanted.items() <= sent.items()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sslmod=require", "'sslmod' in its query, which PostgreSQL does not know"),
        ("user=other", "user in its query"),
        ("sslmode=", "without a value"),
        ("sslmode=require&sslmode=disable", "twice"),
        ("sslmode", "no key=value"),
        ("sslmode=require#x", "write it as %23"),
    ],
)
def test_what_cannot_be_passed_on_is_refused_by_name(query, says):
    with pytest.raises(ImproperlyConfigured, match=says):
        database_from_url("DATABASE_URL", f"postgresql://me@db.example/loop?{query}")
    with pytest.raises(ImproperlyConfigured, match=says):
        broker_from_url(
            "CELERY_BROKER_URL", f"sqla+postgresql+psycopg://me@db.example/loop?{query}"
        )


def test_a_broker_behind_tls_has_to_show_a_certificate_of_its_name():
    url, tls = broker_from_url("CELERY_BROKER_URL", "rediss://broker.example:6379/0")
    assert tls == {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_check_hostname": True}
    assert Connection(url, ssl=tls).ssl == tls
    _, tls = broker_from_url("CELERY_BROKER_URL", "amqps://me:word@broker.example//")
    assert tls == {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}


def test_the_certificates_of_a_broker_reach_its_transport():
    query = "ssl_ca_certs=/etc/ca.pem&ssl_cert_reqs=none"
    url, tls = broker_from_url("CELERY_BROKER_URL", f"rediss://broker.example/0?{query}")
    assert url == "rediss://broker.example/0"
    assert tls == {
        "ssl_cert_reqs": ssl.CERT_NONE, "ssl_check_hostname": False, "ssl_ca_certs": "/etc/ca.pem",
    }  # fmt: skip
    url, tls = broker_from_url("CELERY_BROKER_URL", f"amqps://broker.example//?{query}")
    assert (url, tls) == (
        "amqps://broker.example//", {"cert_reqs": ssl.CERT_NONE, "ca_certs": "/etc/ca.pem"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://h/0?ssl_cert_reqs=required", "'ssl_cert_reqs'.* It needs rediss://"),
        ("redis://h/0?db=3", "'db'"),
        ("amqp://h//?heartbeat=5", "'heartbeat'"),
        ("rediss://h/0?ssl_cert_reqs=perhaps", "ssl_cert_reqs=perhaps"),
        ("redis://:pa#ss@h/0", "%23"),
        ("rediss://a/0;rediss://b/0?ssl_cert_reqs=none", "different TLS"),
        ("localhost:6379", "redis://"),
    ],
)
def test_a_part_that_the_broker_would_not_see_is_refused(url, says):
    with pytest.raises(ImproperlyConfigured, match=says):
        broker_from_url("CELERY_BROKER_URL", url)


def test_a_host_pattern_is_trusted_in_the_form_that_origins_have():
    words = "from django.conf import settings; print(settings.CSRF_TRUSTED_ORIGINS)"
    surroundings = {
        "DJANGO_SETTINGS_MODULE": "outerloop.settings.prod",
        "OUTERLOOP_SECRET_KEY": "x" * 40,
        "OUTERLOOP_ALLOWED_HOSTS": "site.example,.lab.example",
        "DATABASE_URL": "postgresql://h/d",
    }
    done = subprocess.run(
        [sys.executable, "-c", words],
        env={**os.environ, **surroundings},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['https://site.example', 'https://*.lab.example']"


def test_a_replica_is_connected_as_its_primary_is_but_given_up_sooner():
    primary = {**database_from_url("DATABASE_URL", "postgresql://me@one/loop"), "CONN_MAX_AGE": 60}
    url = "postgresql://reader@two:5433/loop?sslmode=require"
    found = replica_from_url("DATABASE_REPLICA_URL", url, primary)
    assert (found["HOST"], found["USER"], found["CONN_MAX_AGE"]) == ("two", "reader", 60)
    assert found["OPTIONS"] == {"sslmode": "require", "connect_timeout": "2"}
    slow = replica_from_url("DATABASE_REPLICA_URL", f"{url}&connect_timeout=9", primary)
    assert slow["OPTIONS"] == {"sslmode": "require", "connect_timeout": "9"}
    with pytest.raises(ImproperlyConfigured, match="DATABASE_REPLICA_URL begins with 'mysql'"):
        replica_from_url("DATABASE_REPLICA_URL", "mysql://a/b", primary)


def test_a_replica_of_the_embedded_server_is_refused():
    """There is none: the address of the primary has been forgotten."""
    done = subprocess.run(
        [sys.executable, "-c", "import outerloop.settings.base"],
        env={**os.environ, "DATABASE_URL": "", "DATABASE_REPLICA_URL": "postgresql://h/d"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "DATABASE_REPLICA_URL is set and DATABASE_URL is not" in done.stderr
