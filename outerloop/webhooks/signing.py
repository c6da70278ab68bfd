"""Signatures as the Standard Webhooks specification has them: HMAC-SHA256 over id, time and body.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from django.utils.crypto import salted_hmac

from web.secret_key import secret_key

PREFIX = "whsec_"


def salt_drawn() -> str:
    return secrets.token_hex(32)


def secret_of(salt: str) -> bytes:
    """32 bytes of the site's key and the salt: whoever has the database alone can sign nothing."""
    made = salted_hmac("outerloop.webhooks", salt, secret=secret_key(), algorithm="sha256")
    return made.digest()


def secret_shown(salt: str) -> str:
    """As receivers' libraries take it: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secret_of(salt)).decode()


def fingerprint_of(salt: str) -> str:
    return hashlib.sha256(secret_of(salt)).hexdigest()[:12]


def signature(secret: bytes, *, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"


def signed_headers(
    salts: Sequence[str], *, message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The three headers; with several secrets their signatures stand beside each other."""
    signatures = (
        signature(secret_of(salt), message_id=message_id, timestamp=timestamp, body=body)
        for salt in salts
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
