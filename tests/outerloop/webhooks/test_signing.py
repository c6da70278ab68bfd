from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

from outerloop.webhooks.signing import (
    fingerprint_of,
    salt_drawn,
    secret_of,
    secret_shown,
    signature,
    signed_headers,
)


def test_the_signature_is_that_of_the_specification_s_example() -> None:
    """The example of the reference libraries of Standard Webhooks."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(
        secret,
        message_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_verifies_by_the_secret_that_was_shown() -> None:
    salt, body = salt_drawn(), b'{"type": "round.started"}'
    headers = signed_headers([salt], message_id="m", timestamp=17, body=body)
    key = base64.b64decode(secret_shown(salt).removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, b"m.17." + body, hashlib.sha256).digest()).decode()
    assert headers == {
        "webhook-id": "m", "webhook-timestamp": "17", "webhook-signature": f"v1,{expected}",
    }  # fmt: skip


def test_several_secrets_sign_side_by_side() -> None:
    salts = [salt_drawn(), salt_drawn()]
    headers = signed_headers(salts, message_id="m", timestamp=1, body=b"x")
    alone = [signature(secret_of(salt), message_id="m", timestamp=1, body=b"x") for salt in salts]
    assert headers["webhook-signature"].split(" ") == alone


def test_the_secret_hangs_on_the_site_s_key_as_well_as_on_the_salt(settings: Any) -> None:
    salt = salt_drawn()
    before, known = secret_of(salt), fingerprint_of(salt)
    assert len(before) == 32
    assert known == hashlib.sha256(before).hexdigest()[:12]
    assert secret_of(salt_drawn()) != before
    settings.SECRET_KEY = "another"
    assert secret_of(salt) != before
    assert fingerprint_of(salt) != known
