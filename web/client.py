"""A client of the programming interface, by the standard library alone: copy the file where you need it.

    site = Outerloop("https://outerloop.example", token)
    for line in site.lines():
        print(line["name"])

What the interface answers comes back as it is, dictionaries; `/api/v1/openapi.json` says what is in them.
Every write carries a key, so that it can be sent again after a broken connection and is still done once.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

Json = dict[str, Any]
ENDED = ("done", "failed", "cancelled")
AGAIN = (429, 502, 503, 504)
TRIES = 6
LONGEST_PAUSE = 60.0


class OuterloopError(Exception):
    """A refusal: `status`, the sentence, and `errors`, field -> what is wrong with it."""

    def __init__(self, status: int, detail: str, errors: Mapping[str, str]) -> None:
        self.status, self.detail, self.errors = status, detail, dict(errors)
        super().__init__(f"{status}: {detail}")


class Outerloop:
    """One site, asked by one token. `pause` is what waits between tries; tests give another."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 60.0,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"The site's address begins with http:// or https://, not {url!r}.")
        self.api = f"{url.rstrip('/')}/api/v1"
        self.token, self.timeout, self.pause = token, timeout, pause

    # ------------------------------------------------------------------------ lines and rounds

    def lines(self) -> Iterator[Json]:
        return self.items("/lines")

    def line(self, slug: str) -> Json:
        """The line of this slug, with what is deployed on it; LookupError where there is none."""
        found = next((line for line in self.lines() if line["slug"] == slug), None)
        if found is None:
            raise LookupError(f"This token sees no line {slug!r}.")
        return self.get(f"/lines/{found['id']}")

    def line_create(self, name: str, **how: Any) -> Json:
        """A line on the model in a `folder` of the server, or on a registered policy's `version`; `how` as `slug`,
        `description`, `plan`. A worker checks the model: `base_wait` waits for that."""
        return self.post("/lines", {"name": name, **how})

    def base(self, line: str) -> Json:
        return self.get(f"/lines/{line}/base")

    def base_order(self, line: str, **model: str) -> Json:
        """Another model, by `folder` or `version`, for a line whose first one was not taken."""
        return self.post(f"/lines/{line}/base", model)

    def base_wait(self, line: str, *, every: float = 1.0, seconds: float = 3600.0) -> Json:
        """The base policy once it is deployed. RuntimeError where the model was not taken, TimeoutError after
        `seconds`."""
        deadline = time.monotonic() + seconds
        while (found := self.base(line))["state"] not in ("done", "failed", "none"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"The base policy is {found['state']} after {seconds:g} s.")
            self.pause(every)
        if found["state"] != "done":
            raise RuntimeError(f"The line has no base policy. {found['error']}".strip())
        return found

    def first_pairs(self, line: str) -> Json:
        """Let the base policy of a new line answer its prompts; the round that does it."""
        return self.post(f"/lines/{line}/first-pairs")

    def rounds(self, line: str) -> Iterator[Json]:
        return self.items(f"/lines/{line}/rounds")

    def round_start(self, line: str, *, forced: bool = False, title: str = "") -> Json:
        return self.post(f"/lines/{line}/rounds", {"forced": forced, "title": title})

    def round_cancel(self, line: str, number: int) -> Json:
        return self.post(f"/lines/{line}/rounds/{number}/cancel")

    def report(self, line: str, number: int) -> Json:
        return self.get(f"/lines/{line}/reports/{number}")

    def deployments(self, line: str) -> Iterator[Json]:
        return self.items(f"/lines/{line}/deployments")

    # ------------------------------------------------------------- campaigns, prompts, judgments

    def campaigns(self, **narrowed: str) -> Iterator[Json]:
        """Campaigns, narrowed by `line` and `state`."""
        return self.items("/campaigns", **narrowed)

    def campaign_create(self, line: str, name: str, **settings: Any) -> Json:
        return self.post("/campaigns", {"line": line, "name": name, **settings})

    def campaign_state(self, campaign: str, state: str) -> Json:
        """Make it active, paused or closed."""
        return self.post(f"/campaigns/{campaign}/state", {"state": state})

    def quality(self, campaign: str) -> Json:
        return self.get(f"/campaigns/{campaign}/quality")

    def progress(self, campaign: str) -> Json:
        """What was answered day by day, what it cost, and how long the rest takes."""
        return self.get(f"/campaigns/{campaign}/progress")

    def gold(self, campaign: str) -> Iterator[Json]:
        return self.items(f"/campaigns/{campaign}/gold")

    def gold_add(self, campaign: str, **item: Any) -> Json:
        """A gold item: `prompt`, `first`, `second` and `value`, or a `pair` of the campaign and `value`."""
        return self.post(f"/campaigns/{campaign}/gold", item)

    def prompts(self, line: str, **narrowed: str) -> Iterator[Json]:
        return self.items(f"/lines/{line}/prompts", **narrowed)

    def prompts_add(self, line: str, prompts: Iterable[Json]) -> list[str]:
        """Their ids, in the order given; at most 1,000 at a time."""
        found: list[str] = self.post(f"/lines/{line}/prompts", {"prompts": list(prompts)})["ids"]
        return found

    def judgments(self, line: str, **narrowed: str) -> Iterator[Json]:
        return self.items(f"/lines/{line}/judgments", **narrowed)

    # ------------------------------------------------------------------------------------ signals

    def signals(self, line: str) -> Iterator[Json]:
        """What users of the deployed policy said of its answers."""
        return self.items(f"/lines/{line}/signals")

    def signals_alarm(self, line: str) -> Json:
        """The deployed version against the one before it, by users' thumbs."""
        return self.get(f"/lines/{line}/signals/alarm")

    def troubled_prompts(self, line: str) -> list[Json]:
        """Prompts that stand out by thumbs down; those whose `place` is "new" can be added."""
        found: list[Json] = self.get(f"/lines/{line}/signals/prompts")["items"]
        return found

    def troubled_prompts_add(self, line: str, conversations: Iterable[str]) -> Json:
        """Add some of these, by their `conversation`: how many were `added` and `left_out`."""
        return self.post(f"/lines/{line}/signals/prompts", {"conversations": list(conversations)})

    # --------------------------------------------------------------------------------- labelling

    def pairs(self, campaign: str) -> Iterator[Json]:
        """The rater's pairs, one after another; answer or skip each before the next is asked for."""
        while (pair := self.post(f"/labelling/{campaign}/next")["pair"]) is not None:
            yield {**pair, "campaign": campaign}

    def warning_agree(self, campaign: str) -> str:
        """Agree to see the content that the campaign warns of; gives the warning, empty for none, back to be read."""
        warning = self.get(f"/labelling/{campaign}/warning")
        if not warning["agreed"]:
            self.post(f"/labelling/{campaign}/warning", {"text": warning["text"]})
        return str(warning["text"])

    def guidelines_accept(self, campaign: str) -> str:
        """Say that the guidelines in force were read, and give them back to be."""
        found = self.get(f"/labelling/{campaign}/guidelines")
        self.post(f"/labelling/{campaign}/guidelines", {"version": found["version"]})
        return str(found["text"])

    def answer(self, pair: Json, overall: int, **more: Any) -> Json:
        """1 left much better, 4 equal, 7 right much better; `more` as `values`, `flags`, `rationale`."""
        values = {"overall": overall, **more.pop("values", {})}
        return self.post(f"{_place(pair)}/answer", {"values": values, **more})

    def skip(self, pair: Json, reason: str) -> Json:
        return self.post(f"{_place(pair)}/skip", {"reason": reason})

    # ------------------------------------------------------------------------ imports and exports

    def import_rows(self, line: str, rows: Iterable[Json], **how: Any) -> Json:
        return self.post("/imports/rows", {"line": line, "rows": list(rows), **how})

    def import_check(self, line: str, rows: Iterable[Json], **how: Any) -> Json:
        """A dry run: what an import of the rows would do; nothing stays."""
        return self.post("/imports/rows/check", {"line": line, "rows": list(rows), **how})

    def import_file(self, line: str, path: Path | str, **how: Any) -> Json:
        path = Path(path)
        body, kind = _form({"line": line, **how}, path.name, path.read_bytes())
        return self._json("POST", "/imports", body, kind)

    def import_rejections(self, job: Json) -> Iterator[Json]:
        return self.items(f"/imports/{job['id']}/rejections")

    def export(self, line: str, **how: Any) -> Json:
        return self.post("/exports", {"line": line, **how})

    def wait(self, job: Json, *, every: float = 1.0, seconds: float = 3600.0) -> Json:
        """The import or export when it is done. RuntimeError where it failed, TimeoutError after `seconds`."""
        address = f"/{'imports' if 'campaign' in job else 'exports'}/{job['id']}"
        deadline = time.monotonic() + seconds
        while (job := self.get(address))["state"] not in ENDED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"The job {job['id']} is {job['state']} after {seconds:g} s.")
            self.pause(every)
        if job["state"] != "done":
            raise RuntimeError(f"The job {job['id']} {job['state']}: {job['error']}")
        return job

    def download(self, job: Json, path: Path | str) -> Path:
        """The file of an export that is done."""
        Path(path).write_bytes(self._asked("GET", f"/exports/{job['id']}/file"))
        return Path(path)

    # ----------------------------------------------------------------------------------- webhooks

    def webhooks(self) -> Iterator[Json]:
        return self.items("/webhooks")

    def webhook_create(self, line: str | None, name: str, url: str, kinds: Iterable[str]) -> Json:
        """A webhook of a line, or with None of every line; its secret comes from `webhook_secret`."""
        wish = {"line": line, "name": name, "url": url, "kinds": list(kinds)}
        return self.post("/webhooks", wish)

    def webhook_change(self, webhook: str, **changes: Any) -> Json:
        """Change `name`, `url`, `kinds` or `active`."""
        return self.post(f"/webhooks/{webhook}", changes)

    def webhook_secret(self, webhook: str) -> str:
        """A new secret; the one before signs beside it for a day."""
        return str(self.post(f"/webhooks/{webhook}/secret")["secret"])

    def webhook_test(self, webhook: str) -> Json:
        return self.post(f"/webhooks/{webhook}/test")

    def webhook_delete(self, webhook: str) -> Json:
        return self.post(f"/webhooks/{webhook}/delete")

    def deliveries(self, webhook: str) -> Iterator[Json]:
        """The log of the webhook, newest first, each with its attempts."""
        return self.items(f"/webhooks/{webhook}/deliveries")

    def delivery_again(self, webhook: str, delivery: int) -> Json:
        return self.post(f"/webhooks/{webhook}/deliveries/{delivery}/again")

    # ----------------------------------------------------------------------------------- requests

    def get(self, address: str, **query: str) -> Json:
        return self._json("GET", f"{address}?{urlencode(query)}" if query else address)

    def post(self, address: str, body: Json | None = None) -> Json:
        return self._json("POST", address, json.dumps(body or {}).encode(), "application/json")

    def items(self, address: str, **query: str) -> Iterator[Json]:
        """Every row of a list, page by page."""
        after: str | None = ""
        while after is not None:
            page = self.get(address, **{"limit": "200", **query, "after": after})
            yield from page["items"]
            after = page["next"]

    def _json(self, method: str, address: str, body: bytes | None = None, kind: str = "") -> Json:
        found: Json = json.loads(self._asked(method, address, body, kind))
        return found

    def _asked(self, method: str, address: str, body: bytes | None = None, kind: str = "") -> bytes:
        """The answer's body; asked again after a broken connection, a busy site or a full minute."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        if method == "POST":
            headers["Idempotency-Key"] = str(uuid.uuid4())
        request = Request(f"{self.api}{address}", body, headers, method=method)  # noqa: S310 - http(s), checked
        for tried in range(1, TRIES + 1):
            try:
                with urlopen(request, timeout=self.timeout) as answer:  # noqa: S310 - as above
                    found: bytes = answer.read()
                    return found
            except HTTPError as error:
                if error.code not in AGAIN or tried == TRIES:
                    raise _refusal(error) from None
                wait = _seconds(error.headers.get("Retry-After", ""), otherwise=2**tried / 4)
            except (URLError, ConnectionError, TimeoutError, HTTPException):
                if tried == TRIES:
                    raise
                wait = 2**tried / 4
            self.pause(min(wait, LONGEST_PAUSE))
        raise AssertionError("the last try returns or raises")


def _place(pair: Json) -> str:
    return f"/labelling/{pair['campaign']}/pairs/{pair['id']}"


def _seconds(retry_after: str, *, otherwise: float) -> float:
    """What a Retry-After asks for, in seconds or as a date (RFC 9110); `otherwise` where it is neither."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except ValueError:
        return otherwise
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _refusal(error: HTTPError) -> OuterloopError:
    try:
        problem = json.loads(error.read())
        errors = {each["field"]: each["says"] for each in problem["errors"]}
        return OuterloopError(error.code, problem["detail"], errors)
    except (ValueError, KeyError, TypeError):  # a proxy's own page, say
        return OuterloopError(error.code, str(error.reason), {})


def _form(fields: Mapping[str, Any], name: str, content: bytes) -> tuple[bytes, str]:
    """A form with one file, as multipart/form-data (RFC 7578)."""
    edge = uuid.uuid4().hex
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    safe = name.replace('"', "_").replace("\r", "_").replace("\n", "_")
    head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{safe}"\r\n'
    parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content)
    parts.append(f"\r\n--{edge}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={edge}"
