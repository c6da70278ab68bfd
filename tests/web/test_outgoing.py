"""Requests to addresses that a person typed: what is inside is refused, whatever it is called."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.receivers import receiver
from tests.support.silent import silent_server
from web import outgoing
from web.outgoing import OutgoingFailed, OutgoingRefused, is_outside, post, target_of

INSIDE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "192.0.0.192", "192.0.2.1", "198.18.0.1",
    "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "168.63.129.16",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:0808:0808::1", "2001::1",
    "2001:db8::1", "100::1", "3fff::1",
]  # fmt: skip
OUTSIDE = ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
HEADERS = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def plain_http(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_HTTP = True


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_no_public_address_is_inside(address: str) -> None:
    assert not is_outside(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are_outside(address: str) -> None:
    assert is_outside(ip_address(address))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/", "https://"),
        ("file:///etc/passwd", "https://"),
        ("gopher://example.com", "https://"),
        ("example.com/hook", "https://"),
        ("", "ASCII"),
        ("https://", "no host"),
        ("https:///hook", "no host"),
        ("https://user:pass@example.com/", "user name"),
        ("https://example.com@127.0.0.1/", "user name"),
        ("https://example.com/#part", "#"),
        ("https://example.com\\@inside/", "backslashes"),
        ("https://exa mple.com/", "spaces"),
        ("https://example.com/\r\nX-Header: 1", "spaces"),
        ("https://bücher.example/", "xn--"),
        ("https://example.com:22/", "Port 22"),
        ("https://example.com:25/", "Port 25"),
        ("https://example.com:0/", "Port 0"),
        ("https://example.com:99999/", "no address"),
        ("https://example.com:port/", "no address"),
        ("https://[::1/", "no address"),
        ("https://[fe80::1%25eth0]/", "no "),
        (f"https://example.com/{'x' * 500}", "500"),
    ],
)
def test_an_address_of_another_form_is_refused_with_the_reason(url: str, says: str) -> None:
    with pytest.raises(OutgoingRefused, match=says):
        target_of(url)


def test_the_parts_of_an_address_are_kept() -> None:
    target = target_of("https://Hooks.Example.com./in?from=loop")
    assert (target.tls, target.host, target.port) == (True, "hooks.example.com", 443)
    assert target.path == "/in?from=loop"
    assert target_of("http://example.com").port == 80
    assert target_of("https://example.com:8443/").port == 8443


def test_http_needs_the_setting(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_HTTP = False
    with pytest.raises(OutgoingRefused, match="OUTERLOOP_OUTGOING_HTTP"):
        target_of("http://example.com/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001"])
def test_this_machine_is_not_asked_by_any_spelling(host: str) -> None:
    with receiver() as machine:
        with pytest.raises((OutgoingRefused, OutgoingFailed)):
            post(machine.url(host=host), body=b"{}", headers=HEADERS)
        assert machine.received == []


def test_a_name_is_refused_where_one_of_its_addresses_is_inside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(OutgoingRefused, match=r"two\.example leads to 10\.0\.0\.1"):
        post("http://two.example/", body=b"{}", headers=HEADERS)


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "LocalHost"])
def test_an_operator_allows_a_receiver_inside(settings: Any, entry: str) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = [entry]
    with receiver(status=200, says=b"thanks\x00\n") as inside:
        answer = post(inside.url(host="localhost"), body=b'{"a": 1}', headers=HEADERS)
    (received,) = inside.received
    assert (answer.status, answer.beginning) == (200, "thanks")
    assert (received.path, received.body) == ("/hook", b'{"a": 1}')
    assert received.headers["host"] == f"localhost:{inside.port}"
    assert received.headers["content-type"] == "application/json"


def test_another_name_than_the_allowed_one_is_refused(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["hooks.internal"]
    with receiver() as inside, pytest.raises(OutgoingRefused, match="OUTERLOOP_OUTGOING_ALLOW"):
        post(inside.url(), body=b"{}", headers=HEADERS)


def test_the_connection_goes_to_the_address_that_was_checked(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that means another address at the second question (DNS rebinding) is asked once."""
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    asked = resolve(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with receiver() as inside:
        post(inside.url(host="changing.example"), body=b"{}", headers=HEADERS)
    assert asked == ["changing.example"]
    assert inside.received[0].headers["host"] == f"changing.example:{inside.port}"


def test_a_name_that_turns_inside_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve(monkeypatch, ["127.0.0.1"])
    with receiver() as inside:
        with pytest.raises(OutgoingRefused, match=r"127\.0\.0\.1"):
            post(inside.url(host="public.example"), body=b"{}", headers=HEADERS)
        assert inside.received == []


def test_no_redirect_is_followed(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with receiver() as other, receiver(status=307, location=other.url()) as first:
        assert post(first.url(), body=b"{}", headers=HEADERS).status == 307
        assert other.received == []


def test_no_proxy_of_the_environment_is_used(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with receiver() as proxy, receiver() as inside:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(""))
        post(inside.url(), body=b"{}", headers=HEADERS)
        assert (len(inside.received), len(proxy.received)) == (1, 0)


@pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\nX-Header: "])
def test_a_receiver_that_goes_silent_is_left_in_time(settings: Any, greeting: bytes) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with silent_server(greeting) as port:
        began = time.monotonic()
        with pytest.raises(OutgoingFailed, match=r"did not answer within 0\.5 s"):
            post(f"http://127.0.0.1:{port}/", body=b"{}", headers=HEADERS, seconds=0.5)
        assert time.monotonic() - began < 30


def test_a_byte_now_and_then_prolongs_nothing(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with dripping_server() as port:
        began = time.monotonic()
        with pytest.raises(OutgoingFailed, match="did not answer within"):
            post(f"http://127.0.0.1:{port}/", body=b"{}", headers=HEADERS, seconds=0.6)
        assert time.monotonic() - began < 30


def test_a_resolver_that_is_silent_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", nothing_for_a_second)
    with pytest.raises(OutgoingFailed, match="not resolved in time"):
        post("http://slow.example/", body=b"{}", headers=HEADERS, seconds=0.2)


def test_only_the_beginning_of_a_long_answer_is_read(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with receiver(status=500, says=b"x" * 1_000_000) as inside:
        answer = post(inside.url(), body=b"{}", headers=HEADERS)
    assert len(answer.beginning) == outgoing.READ_BYTES


def test_as_much_of_an_answer_is_read_as_is_asked_for(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with receiver(status=200, says=b"x\n" * 5_000) as inside:
        answer = post(inside.url(), body=b"{}", headers=HEADERS, read_bytes=9_001)
    assert answer.body == (b"x\n" * 5_000)[:9_001]
    assert len(answer.beginning) < outgoing.READ_BYTES
    assert answer.retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), (" 30 ", 30.0), ("Fri, 31 Dec 1999 23:59:59 GMT", None)]
)
def test_how_long_the_other_side_asks_to_wait(settings: Any, header: str, seconds: Any) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with receiver(status=429, retry_after=header) as inside:
        assert post(inside.url(), body=b"{}", headers=HEADERS).retry_after == seconds


def test_a_connection_that_nobody_takes_is_left_before_the_time_for_an_answer(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]

    def never(address: Any, timeout: float) -> Any:
        time.sleep(timeout)
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", never)
    began = time.monotonic()
    with pytest.raises(OutgoingFailed, match="did not take a connection at port 8080 in time"):
        post("http://127.0.0.1:8080/", body=b"", headers={}, seconds=20, connect_seconds=0.2)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("says", [b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\x01\x02\x03\r\n\r\n"])
def test_what_is_no_http_is_said_to_be_none(settings: Any, says: bytes) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with silent_server(says) as port, pytest.raises(OutgoingFailed, match="no HTTP"):
        post(f"http://127.0.0.1:{port}/", body=b"{}", headers=HEADERS, seconds=5)


def test_a_closed_port_and_an_unknown_name_are_said(settings: Any) -> None:
    settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OutgoingFailed, match="takes no connection"):
        post(f"http://127.0.0.1:{port}/", body=b"{}", headers=HEADERS)
    with pytest.raises(OutgoingFailed, match="has no address"):
        post("http://nowhere.invalid/", body=b"{}", headers=HEADERS)


class TestTls:
    """The certificate is that of the name, though the connection goes to an address."""

    @pytest.fixture
    def certificate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
        """Of hooks.example, and trusted as an operator would: by SSL_CERT_FILE."""
        files = certificate_made(tmp_path, "hooks.example")
        monkeypatch.setenv("SSL_CERT_FILE", files[0])
        return files

    def test_the_name_is_what_the_certificate_must_have(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, certificate: tuple[str, str]
    ) -> None:
        settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
        resolve(monkeypatch, ["127.0.0.1"], ["127.0.0.1"])
        with receiver(certificate) as secure:
            url = secure.url(scheme="https", host="hooks.example")
            assert post(url, body=b"{}", headers=HEADERS).status == 204
            other = secure.url(scheme="https", host="other.example")
            with pytest.raises(OutgoingFailed, match=r"certificate of other\.example is not valid"):
                post(other, body=b"{}", headers=HEADERS)
        assert len(secure.received) == 1

    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
        resolve(monkeypatch, ["127.0.0.1"])
        with receiver(certificate_made(tmp_path, "hooks.example")) as secure:
            url = secure.url(scheme="https", host="hooks.example")
            with pytest.raises(OutgoingFailed, match="not valid"):
                post(url, body=b"{}", headers=HEADERS)
        assert secure.received == []

    def test_a_receiver_without_tls_is_named(self, settings: Any) -> None:
        settings.OUTERLOOP_OUTGOING_ALLOW = ["127.0.0.1"]
        plain = silent_server(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with plain as port, pytest.raises(OutgoingFailed, match="does not speak TLS"):
            post(f"https://127.0.0.1:{port}/", body=b"{}", headers=HEADERS)


def nothing_for_a_second(*arguments: Any, **named: Any) -> list[Any]:
    time.sleep(1)
    return []


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Names mean these addresses, one list at each question; the names that were asked for."""
    asked: list[str] = []
    waiting, real = list(answers), socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, port, *rest, **more)
        asked.append(host)
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in waiting.pop(0)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@contextmanager
def dripping_server() -> Iterator[int]:
    """One header that never ends, a letter every tenth of a second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Header: ")
                    for _ in range(50):
                        connection.sendall(b"x")
                        time.sleep(0.1)
                except OSError:
                    return

        Thread(target=drip, daemon=True).start()
        yield listener.getsockname()[1]


def certificate_made(folder: Path, name: str) -> tuple[str, str]:
    """A certificate of this name that signs itself, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(certificate), str(secret)
