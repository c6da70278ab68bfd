"""The HTTP client that the hub's library is given: every request goes through `web.outgoing`.

Neither an address that the hub names for large files nor a redirect leads inside, no proxy is used, and no
environment variable changes where anything goes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import httpx2

from web.outgoing import OutgoingFailed, OutgoingRefused, exchange, target_of

# Storage is named by signed addresses, which are long.
LONGEST_URL = 8_000
READ_BYTES = 16 * 1024 * 1024
CONNECT_SECONDS = 20.0
# A request may take this long, and longer by what it sends at this pace.
SECONDS, BYTES_PER_SECOND = 120.0, 100_000
# `exchange` closes every connection, cuts a body without a length into chunks itself, and decodes nothing.
DROPPED = {"connection", "accept-encoding", "transfer-encoding"}


class GuardedTransport(httpx2.BaseTransport):
    """Raises `OutgoingRefused` as it is, and httpx's `ConnectError`, which is tried again, for a failure."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        length = int(request.headers.get("content-length", "0"))
        chunked = "transfer-encoding" in request.headers
        try:
            answer = exchange(
                request.method,
                target_of(str(request.url), longest=LONGEST_URL),
                body=cast(Iterable[bytes], request.stream) if length or chunked else b"",
                headers={k: v for k, v in request.headers.items() if k not in DROPPED},
                seconds=SECONDS + length / BYTES_PER_SECOND,
                connect_seconds=CONNECT_SECONDS,
                read_bytes=READ_BYTES,
            )
        except OutgoingFailed as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        if 300 <= answer.status < 400:
            raise OutgoingRefused(
                f"{request.url.host} answered {answer.status}: redirects are not followed; what is asked for"
                " may have another name."
            )
        headers = {k: v for k, v in answer.headers.items() if k != "transfer-encoding"}
        return httpx2.Response(answer.status, headers=headers, content=answer.body, request=request)


def guarded_client() -> httpx2.Client:
    return httpx2.Client(transport=GuardedTransport(), follow_redirects=False, trust_env=False)
