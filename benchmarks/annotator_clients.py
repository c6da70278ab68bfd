"""Annotators as programs: each speaks HTTP with the site, thinks in between, and keeps its own records.

A client does what the compare page does: it asks for the next pair, sends the answer with a key, and
sends it again with that very key until the site has answered. Some are slow beyond their lease, some
click twice, some edit, some skip.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

TIMEOUT_SECONDS = 30.0
THINK_SECONDS = 3.0
# How often of a hundred answers something other than the plain way happens.
LATE, SKIP, DRAFT, TWICE, EDIT = 2, 2, 5, 3, 3

Reply = tuple[int, dict[str, Any]]


@dataclass
class Acknowledged:
    """What the site said that it has."""

    assignment: str
    value: int
    revision: int
    surplus: bool


@dataclass
class Tally:
    """What all clients saw together: seconds of answered requests by door, and errors by kind."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"next": [], "submit": []})
    errors: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    dry: int = 0


@dataclass
class Client:
    """One signed-in annotator. `sent` holds every key that left, `acknowledged` those answered."""

    port: int
    base: str
    session: str
    lease_seconds: float
    dice: random.Random
    tally: Tally
    sent: dict[str, str] = field(default_factory=dict)
    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)

    async def work(self, until: float) -> None:
        await asyncio.sleep(self.dice.uniform(0, THINK_SECONDS))
        while time.monotonic() < until:
            reply = await self._door("next", "next/", {"held": []}, until)
            items = reply[1].get("items") if reply else None
            if not items:
                self.tally.dry += reply is not None
                await asyncio.sleep(1.0)
                continue
            await asyncio.sleep(self.dice.expovariate(1 / THINK_SECONDS))
            await self._answer(items[0]["id"], until)

    async def _answer(self, assignment: str, until: float) -> None:
        drawn, value = self.dice.randrange(100), self.dice.randint(1, 7)
        if drawn < SKIP:
            await self._door("skip", f"{assignment}/skip/", {"reason": "technical"}, until)
            return
        if drawn < SKIP + LATE and time.monotonic() + self.lease_seconds + 10 < until:
            await asyncio.sleep(self.lease_seconds + self.dice.uniform(1, 10))
        elif drawn < SKIP + LATE + DRAFT:
            draft = {"answer": {"values": {"overall": value}}}
            await self._door("draft", f"{assignment}/draft/", draft, until)
        await self._say("submit", assignment, value, until, twice=self.dice.randrange(100) < TWICE)
        if self.dice.randrange(100) < EDIT:
            await self._say("revise", assignment, self.dice.randint(1, 7), until, twice=False)

    async def _say(
        self, door: str, assignment: str, value: int, until: float, *, twice: bool
    ) -> None:
        """Send an answer until it is acknowledged; the same key must get the same reply each time."""
        key = str(uuid.UUID(int=self.dice.getrandbits(128), version=4))
        self.sent[key] = assignment
        body = {"values": {"overall": value}, "key": key, "seconds": 3.0}
        address = f"{assignment}/{door}/"
        tries = [self._door("submit", address, body, until + 60) for _ in range(1 + twice)]
        replies = [reply for reply in await asyncio.gather(*tries) if reply is not None]
        outcomes = {(r["revision"], r["surplus"]) for status, r in replies if status == 200}
        if len(outcomes) > 1:
            self.tally.wrong.append(f"the same key got different replies: {outcomes}")
        for status, reply in replies:
            if status != 200:
                self.tally.wrong.append(f"{door} got {status}: {reply.get('error')}")
        for revision, surplus in outcomes:
            self.acknowledged[key] = Acknowledged(assignment, value, revision, surplus)

    async def _door(
        self, name: str, address: str, body: dict[str, Any], until: float
    ) -> Reply | None:
        """The site's reply; where it gives none, or says that it cannot now, ask again until `until`."""
        pause = 0.5
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    status, reply = await self._post(address, body)
            except (OSError, TimeoutError, EOFError, ValueError) as error:
                self.tally.errors[type(error).__name__] += 1
            else:
                if status < 500 and status != 429:
                    if name in self.tally.seconds:
                        self.tally.seconds[name].append(time.monotonic() - began)
                    if status >= 400:
                        self.tally.errors[f"status {status}"] += 1
                    return status, reply
                self.tally.errors[f"status {status}"] += 1
            if time.monotonic() > until:
                return None
            await asyncio.sleep(pause * self.dice.uniform(0.5, 1.5))
            pause = min(2 * pause, 5.0)

    async def _post(self, address: str, body: dict[str, Any]) -> Reply:
        """One request on a connection of its own, as HTTP/1.1 has it."""
        content = json.dumps(body).encode()
        token = "c" * 32
        head = (
            f"POST {self.base}{address} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Cookie: sessionid={self.session}; csrftoken={token}\r\nX-CSRFToken: {token}\r\n"
            f"Content-Type: application/json\r\nAccept: application/json\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n"
        )
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(head.encode() + content)
            await writer.drain()
            return _reply(await reader.read(-1))
        finally:
            writer.close()


def _reply(raw: bytes) -> Reply:
    """Status and JSON of a whole reply; an incomplete one is a ValueError or EOFError."""
    head, found, content = raw.partition(b"\r\n\r\n")
    if not found:
        raise EOFError("the connection ended before the reply")
    lines = head.decode("latin-1").split("\r\n")
    headers = {k.strip().lower(): v.strip() for k, _, v in (h.partition(":") for h in lines[1:])}
    if len(content) < int(headers.get("content-length", 0)):
        raise EOFError("the connection ended within the reply")
    status = int(lines[0].split()[1])
    is_json = headers.get("content-type", "").startswith("application/json")
    return status, json.loads(content) if is_json else {}
