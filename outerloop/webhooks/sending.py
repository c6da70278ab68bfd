"""Send what is due: several receivers at once, each one request at a time, and no receiver holds up others.

The requests run in threads and touch no database; claims and outcomes are written by the one that calls.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from web.outgoing import OutgoingFailed, OutgoingRefused, post

from .claims import Claim, delivery_claim
from .outcomes import attempt_record
from .signing import fingerprint_of, signed_headers

logger = logging.getLogger(__name__)

AT_ONCE = 8
# Receivers that failed last time may hold this many places at most: they are the slow ones.
FAILING_AT_ONCE = AT_ONCE // 2
# After this long nothing new is begun, and the next message goes on: a worker that is told to end does.
TURN_SECONDS = 30.0
LOOK_SECONDS = 0.2
AGENT = "Outerloop-Webhooks/1"


@dataclass(frozen=True)
class AttemptOutcome:
    """`status` is what the receiver answered, None where it did not; `error` is empty after a 2xx."""

    status: int | None
    milliseconds: int
    error: str


def deliveries_send() -> int:
    """Send all that is due and what becomes due meanwhile, for one turn; how many requests were made."""
    ends, made = time.monotonic() + TURN_SECONDS, 0
    under_way: dict[Future[AttemptOutcome], Claim] = {}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhook") as pool:
        while True:
            while time.monotonic() < ends and (claim := _claim(under_way)) is not None:
                under_way[pool.submit(_request, claim)] = claim
            if not under_way:
                return made
            done, _ = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in done:
                attempt_record(under_way.pop(future), **vars(future.result()))
                made += 1


def _claim(under_way: dict[Future[AttemptOutcome], Claim]) -> Claim | None:
    if len(under_way) >= AT_ONCE:
        return None
    failing = sum(claim.failing for claim in under_way.values())
    return delivery_claim(failing_too=failing < FAILING_AT_ONCE)


def _request(claim: Claim) -> AttemptOutcome:
    began = time.monotonic()
    status, error = _asked(claim)
    return AttemptOutcome(status, round(1000 * (time.monotonic() - began)), error[:300])


def _asked(claim: Claim) -> tuple[int | None, str]:
    """(status, error): never raises, as the sender goes on with the others."""
    if fingerprint_of(claim.salts[0]) != claim.fingerprint:
        return None, "The site's secret key has changed since the secret was shown: make a new one."
    body = claim.body.encode()
    signed = signed_headers(
        claim.salts, message_id=str(claim.event_id), timestamp=int(time.time()), body=body
    )
    headers = {"Content-Type": "application/json", "User-Agent": AGENT, **signed}
    try:
        answer = post(claim.url, body=body, headers=headers)
    except (OutgoingRefused, OutgoingFailed) as error:
        return None, str(error)
    except Exception as error:
        logger.exception("webhook %s: unexpected error", claim.webhook_id)
        return None, f"Unexpected error: {type(error).__name__}."
    return answer.status, _why_not(answer.status, answer.beginning)


def _why_not(status: int, beginning: str) -> str:
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"Answered {status}: redirects are not followed; give the address that it leads to."
    return f"Answered {status}: {beginning[:200]}" if beginning else f"Answered {status}."
