"""The one door for requests to addresses that a person typed: none of them reaches inside.

A name is resolved once, every address that it has is checked, and the connection goes to an address that
was checked, whatever the name means a moment later (DNS rebinding). The certificate and the `Host` header
stay those of the name. No redirect is followed, no proxy is used, and the whole exchange is bounded in time
and size. What is inside: everything that is not public unicast by the IANA special-purpose registries
(RFC 6890), and what carries such an address in IPv6 (RFC 4291 mapped, RFC 6052 NAT64).
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from queue import Empty, SimpleQueue
from urllib.parse import urlsplit

from django.conf import settings

Address = IPv4Address | IPv6Address

SECONDS = 10.0
LONGEST_URL = 500
# Of an answer: its beginning says what went wrong, the rest is left unread.
READ_BYTES = 2_048
# Below 1024 live mail, shells and name servers; a web server is at these two.
LOW_PORTS = {80, 443}

_UNICAST = ip_network("2000::/3")
_NAT64 = ip_network("64:ff9b::/96")
# The registries as of 2024, as what Python calls global differs with its version; then 6to4, whose address
# carries another, and one that is public in form but answers inside one provider's machines alone.
_SPECIAL = tuple(
    ip_network(each)
    for each in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        *("2001::/23", "2001:db8::/32", "3fff::/20", "2002::/16", "168.63.129.16/32"),
    )
)


class OutgoingRefused(ValueError):
    """The address is none that this site may ask; the sentence says why."""


class OutgoingFailed(Exception):
    """The other side could not be reached, or did not answer in time."""


@dataclass(frozen=True)
class OutgoingTarget:
    """Where a request goes, taken apart once. `path` holds the query too."""

    tls: bool
    host: str
    port: int
    path: str


@dataclass(frozen=True)
class OutgoingAnswer:
    """`beginning`: the first bytes of the body as text, in printable characters; `body` as they came.

    `retry_after`: the seconds that the other side asks to wait, None where it asks for nothing.
    `headers`: by lower-case name.
    """

    status: int
    beginning: str
    body: bytes = b""
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def target_of(url: str, *, longest: int = LONGEST_URL) -> OutgoingTarget:
    """The address taken apart; `OutgoingRefused` for a form that is never asked. No name is resolved."""
    if len(url) > longest:
        raise OutgoingRefused(f"The address is longer than {longest} characters.")
    if not re.fullmatch(r"[!-\[\]-~]+", url):
        raise OutgoingRefused(
            "Write the address in ASCII without spaces or backslashes; a name in other letters in its"
            " xn-- form."
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise OutgoingRefused(f"This is no address: {error}.") from error
    if parts.scheme not in ("https", "http"):
        raise OutgoingRefused("Begin the address with https://.")
    if parts.scheme == "http" and not settings.OUTERLOOP_OUTGOING_HTTP:
        raise OutgoingRefused(
            "Use https://: over http:// anybody on the way can read and change what is sent."
            " OUTERLOOP_OUTGOING_HTTP=1 allows it."
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise OutgoingRefused("Leave user name, password and # out of the address.")
    host = (parts.hostname or "").rstrip(".")
    if not host or "%" in host:
        raise OutgoingRefused("The address names no host.")
    tls = parts.scheme == "https"
    port = (443 if tls else 80) if port is None else port
    if port < 1024 and port not in LOW_PORTS:
        raise OutgoingRefused(
            f"Port {port} is not one of a web server: use 80, 443 or 1024 and on."
        )
    query = f"?{parts.query}" if parts.query else ""
    return OutgoingTarget(tls, host, port, f"{parts.path or '/'}{query}")


def is_outside(address: Address) -> bool:
    """Whether it is public unicast: neither this machine, nor its network, nor a platform's own services."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_outside(address.ipv4_mapped)
        if address in _NAT64:
            return is_outside(IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in _UNICAST:
            return False
    return address.is_global and not any(address in network for network in _SPECIAL)


def is_allowed(host: str, address: Address) -> bool:
    """Outside, or one that OUTERLOOP_OUTGOING_ALLOW names: by its host, its address or its network."""
    if is_outside(address):
        return True
    for entry in settings.OUTERLOOP_OUTGOING_ALLOW:
        try:
            if address in ip_network(entry):
                return True
        except ValueError:
            if entry.lower() == host:
                return True
    return False


def post(
    url: str,
    *,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float = SECONDS,
    connect_seconds: float | None = None,
    read_bytes: int = READ_BYTES,
) -> OutgoingAnswer:
    """Post the body and read the first `read_bytes` of the answer, whatever its status.

    At most `seconds` in all, `connect_seconds` of them until the other side takes the connection.
    `OutgoingRefused` where the address is, or leads, inside; `OutgoingFailed` where nobody answers.
    """
    return exchange(
        "POST",
        target_of(url),
        body=body,
        headers=headers,
        seconds=seconds,
        connect_seconds=connect_seconds,
        read_bytes=read_bytes,
    )


def address_check(url: str, *, seconds: float = SECONDS) -> None:
    """Raise what `post` would where the address is, or leads, inside; nothing is sent."""
    _addresses(target_of(url), time.monotonic() + seconds)


def exchange(
    method: str,
    target: OutgoingTarget,
    *,
    body: bytes | Iterable[bytes],
    headers: Mapping[str, str],
    seconds: float,
    connect_seconds: float | None = None,
    read_bytes: int = READ_BYTES,
) -> OutgoingAnswer:
    """One request of any method, as `post` makes it. A body in pieces is sent as they come, chunked unless
    the headers give its length; what its iterator raises ends the exchange and is passed on."""
    ends = time.monotonic() + seconds
    addresses = _addresses(target, ends)
    connection = _Pinned(target, addresses, ends, connect_seconds)
    with _ended(connection, ends) as over:
        try:
            connection.request(
                method, target.path, body=body, headers={**headers, "Connection": "close"}
            )
            answer = connection.getresponse()
            read = answer.read(read_bytes)
            if over.is_set():  # headers that were cut short read like whole ones
                raise TimeoutError
            wait = _seconds(answer.getheader("Retry-After"))
            named = {name.lower(): value for name, value in answer.getheaders()}
            return OutgoingAnswer(answer.status, _printable(read[:READ_BYTES]), read, wait, named)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise OutgoingFailed(_sentence(error, target, ends, seconds)) from error


def _addresses(target: OutgoingTarget, ends: float) -> list[Address]:
    """Every address of the host, all of them checked: one that is inside refuses the name as a whole."""
    found = _resolved(target, ends)
    for address in found:
        if not is_allowed(target.host, address):
            raise OutgoingRefused(
                f"{target.host} leads to {address}, which is no public address. An operator can allow"
                " it by OUTERLOOP_OUTGOING_ALLOW."
            )
    return found


def _resolved(target: OutgoingTarget, ends: float) -> list[Address]:
    """Asked in a thread of its own: the system's resolver knows no time limit."""
    answers: SimpleQueue[list[Address] | OSError] = SimpleQueue()
    asked = threading.Thread(target=_resolve, args=(target, answers), daemon=True)
    asked.start()
    try:
        found = answers.get(timeout=max(0.0, ends - time.monotonic()))
    except Empty:
        raise OutgoingFailed(f"The name {target.host} was not resolved in time.") from None
    if isinstance(found, OSError) or not found:
        raise OutgoingFailed(f"The name {target.host} has no address.")
    return found


def _resolve(target: OutgoingTarget, answers: SimpleQueue[list[Address] | OSError]) -> None:
    try:
        rows = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        # A scope such as %eth0 belongs to link-local addresses, which are refused anyway.
        answers.put([ip_address(str(row[4][0]).partition("%")[0]) for row in rows])
    except (OSError, UnicodeError) as error:
        answers.put(error if isinstance(error, OSError) else OSError(str(error)))


class _NotTaken(TimeoutError):
    """No address took the connection while there was time for that."""


class _Pinned(http.client.HTTPConnection):
    """A connection to the first of the checked addresses that answers."""

    def __init__(
        self,
        target: OutgoingTarget,
        addresses: Sequence[Address],
        ends: float,
        connect_seconds: float | None,
    ) -> None:
        super().__init__(target.host, target.port)
        self.default_port = 443 if target.tls else 80  # what `Host` leaves out
        self.target, self.addresses, self.ends = target, addresses, ends
        self.connect_seconds = connect_seconds

    def connect(self) -> None:
        self.sock = self._reached()
        if self.target.tls:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(self.sock, server_hostname=self.target.host)

    def _reached(self) -> socket.socket:
        last: OSError = TimeoutError()
        until = self.ends
        if self.connect_seconds is not None:
            until = min(until, time.monotonic() + self.connect_seconds)
        for address in self.addresses:
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                return socket.create_connection((str(address), self.target.port), timeout=left)
            except OSError as error:
                last = error
        if isinstance(last, TimeoutError) and until < self.ends:
            raise _NotTaken
        raise last


@contextmanager
def _ended(connection: _Pinned, ends: float) -> Iterator[threading.Event]:
    """Close the line when the time is over: a byte now and then would prolong every other limit."""

    over = threading.Event()

    def cut() -> None:
        over.set()
        if connection.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)

    watch = threading.Timer(max(0.0, ends - time.monotonic()), cut)
    watch.daemon = True
    watch.start()
    try:
        yield over
    finally:
        watch.cancel()
        connection.close()


def _sentence(error: Exception, target: OutgoingTarget, ends: float, seconds: float) -> str:
    if isinstance(error, _NotTaken):
        return f"{target.host} did not take a connection at port {target.port} in time."
    if isinstance(error, TimeoutError) or time.monotonic() >= ends:
        return f"{target.host} did not answer within {seconds:g} s."
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The certificate of {target.host} is not valid: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return f"{target.host} does not speak TLS at port {target.port}: {error.reason}."
    if isinstance(error, ConnectionRefusedError):
        return f"{target.host} takes no connection at port {target.port}."
    if isinstance(error, http.client.HTTPException | ValueError):
        return f"{target.host} answered something that is no HTTP: {type(error).__name__}."
    return f"{target.host} cannot be reached: {error.strerror or type(error).__name__}."  # type: ignore[attr-defined]


def _seconds(header: str | None) -> float | None:
    """`Retry-After` as a number of seconds; a date, which it may be too, is not read."""
    return float(header) if header and re.fullmatch(r"\d{1,9}", header.strip()) else None


def _printable(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
