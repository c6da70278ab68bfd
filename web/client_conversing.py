"""A live conversation with the deployed policy, by the client in `client.py`: copy both files where you need them.

talk = Conversing(Outerloop("https://outerloop.example", token), campaign)
pair = talk.say("How do I end a process that hangs?")
if pair is not None:
    talk.choose(pair, 2, seconds=21.5)
talk.end()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from web.client import Json, Outerloop


@dataclass
class Conversing:
    """The conversation of the token's owner in a campaign. It is one, wherever it is written: `state` is what was
    last heard of it. Give the site a timeout as long as the policy may write."""

    site: Outerloop
    campaign: str
    state: Json = field(default_factory=dict)

    def now(self) -> Json:
        """Where it stands: `messages`, the `turn` to be written, or the `pair` that waits to be compared."""
        self.state = self.site.post(self._place())
        return self.state

    def say(self, text: str) -> Json | None:
        """Send a message; the pair of its two answers, None where both were the same and the answer goes on."""
        at = self.state or self.now()
        said = {"conversation": at["id"], "turn": at["turn"], "text": text}
        self.state = self.site.post(self._place("/say"), said)
        return self._pair()

    def choose(self, pair: Json, overall: int, **more: Any) -> Json:
        """1 left much better, 4 equal, 7 right much better; the better answer goes on. `seconds` of `more` is the time
        on the pair, without what it took to write."""
        answer = self.site.answer({**pair, "campaign": self.campaign}, overall, **more)
        self.now()
        return answer

    def end(self) -> Json:
        """The next message begins another conversation."""
        at = self.state or self.now()
        if at["id"] is not None:
            self.state = self.site.post(self._place("/end"), {"conversation": at["id"]})
        return self.state

    def _pair(self) -> Json | None:
        pair: Json | None = self.state["pair"]
        return pair

    def _place(self, act: str = "") -> str:
        return f"/labelling/{self.campaign}/conversation{act}"
