"""Which users a canary answers: always the same ones, found again from its id, its share and their name alone.

Nothing is stored of a user and nothing is lost with a process: the policy server routes by this, and the
comparison counts a vote only where it falls on the side that the user's own name has. Whoever asks under no
name, or under many, so cannot choose the version on which their votes count.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

LEAST_SHARE, MOST_SHARE = 5, 50
CANARY_SHARES = (LEAST_SHARE, 10, 25, MOST_SHARE)  # in percent, as a form offers them


@dataclass(frozen=True)
class CanarySplit:
    """A canary's `share` of the users, in percent."""

    canary_id: UUID
    share: int

    def takes(self, key: str) -> bool:
        """Whether the canary answers this user or conversation. Another canary draws anew."""
        drawn = hashlib.sha256(f"{self.canary_id}:{key}".encode()).digest()
        return int.from_bytes(drawn[:8]) * 100 < self.share << 64

    def takes_not(self, key: str) -> bool:
        return not self.takes(key)


def conversation_key(messages: Sequence[dict[str, str]]) -> str:
    """Of a request without a user: the conversation up to the user's first message, which further turns keep."""
    first = next((n for n, each in enumerate(messages) if each["role"] == "user"), 0)
    begun = [f"{each['role']}\n{each['content']}" for each in messages[: first + 1]]
    return hashlib.sha256("\0".join(begun).encode(errors="surrogatepass")).hexdigest()
