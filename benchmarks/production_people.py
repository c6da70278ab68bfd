"""The people of `benchmarks.production`: all that they do goes through the site's address, as from a browser.

A lead makes a line, a campaign and prompts and invites others; an engineer shortens the plan and starts a
round; annotators label by token. Nobody has a terminal.
"""

from __future__ import annotations

import html
import json
import re
import ssl
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from tests.support.visitor import Visitor
from web.client import Outerloop

PASSWORD = "a-good-long-phrase-7"  # of a world that ends with this program
ANNOTATORS = [f"ann{number}" for number in range(1, 9)]
PATIENCE = 1500.0


class _Forms(HTMLParser):
    """Every form of a page: its action, and what it would send untouched."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.area = self.choice = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append((given.get("action", ""), {}))
        if not self.forms:
            return
        fields, name = self.forms[-1][1], given.get("name", "")
        chosen = "checked" in given or given.get("type") not in ("checkbox", "radio", "file")
        if tag == "input" and name and chosen:
            fields[name] = given.get("value", "on" if given.get("type") == "checkbox" else "")
        elif tag == "textarea":
            self.area, fields[name] = name, ""
        elif tag == "select":
            self.choice = name
        elif tag == "option" and (self.choice not in fields or "selected" in given):
            fields[self.choice] = given.get("value", "")

    def handle_data(self, data: str) -> None:
        if self.area:
            self.forms[-1][1][self.area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.area = ""


class Person(Visitor):
    """Somebody with a browser that trusts the certificate in `authority`."""

    def __init__(self, address: str, authority: str | None) -> None:
        super().__init__(address)
        context = ssl.create_default_context(cafile=authority)
        cookies = urllib.request.HTTPCookieProcessor(self.cookies)
        handler = urllib.request.HTTPSHandler(context=context)
        self.opener = urllib.request.build_opener(cookies, handler)
        self.place = ""

    def look(self, path: str) -> str:
        """The page there; `place` is where it lies in the end."""
        with self.opener.open(f"{self.address}{path}", timeout=120) as answer:
            self.place = urllib.parse.urlsplit(answer.geturl()).path
            return str(answer.read().decode())

    def fill(self, path: str, act: str = "", **changes: str) -> str:
        """Fill in the page's form whose action ends with `act` (or that has these fields); what follows."""
        page, text = _Forms(), self.look(path)
        page.feed(text)
        found = [
            (action, fields)
            for action, fields in page.forms
            if (action.endswith(act) if act else changes.keys() <= fields.keys())
        ]
        if not found:
            raise LookupError(f"{path} has no such form ({act or list(changes)}): {_words(text)}")
        action, fields = found[0]
        data = urllib.parse.urlencode({**fields, **changes}).encode()
        address = f"{self.address}{action or self.place}"
        request = urllib.request.Request(address, data, {"Referer": f"{self.address}{self.place}"})
        with self.opener.open(request, timeout=120) as answer:
            self.place = urllib.parse.urlsplit(answer.geturl()).path
            return str(answer.read().decode())

    def join(self, link: str, name: str) -> None:
        """Choose a password under the link of an invitation, and sign in."""
        self.fill(urllib.parse.urlsplit(link).path, password1=PASSWORD, password2=PASSWORD)
        self.fill("/accounts/login/", login=name, password=PASSWORD)
        assert "Sign out" in self.look("/"), f"{name} is not signed in"

    def token(self, scopes: str) -> str:
        """A token of their own, made on its page."""
        page = self.look("/tokens/")
        csrf = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)[0]
        fields = [("csrfmiddlewaretoken", csrf), ("name", "production"), ("days", "5")]
        fields += [("scopes", scope) for scope in scopes.split(",")]
        referer = {"Referer": f"{self.address}/tokens/"}
        request = urllib.request.Request(
            f"{self.address}/tokens/", urllib.parse.urlencode(fields).encode(), referer
        )
        with self.opener.open(request, timeout=120) as answer:
            return str(re.findall(r'data-copy="([^"]+)"', answer.read().decode())[0])


@dataclass
class Loop:
    """A line from its first page to the end of a round."""

    lead: Person
    person: Callable[[], Person]
    say: Callable[[str], None]
    line: str = ""
    slug: str = ""
    raters: tuple[Outerloop, ...] = ()
    engineer: Outerloop | None = None
    labels: int = 0

    def set_up(self, folder: str, plan: dict[str, Any]) -> None:
        lead = self.lead
        page = lead.fill("/lines/new/", base=f"folder:{folder}", name="Help desk")
        found = re.search(r"/set-up/([0-9a-f-]{36})/", lead.place)
        assert found, f"no line was made: {_words(page)}"
        self.line, self.slug = found[1], "help-desk"
        base = f"/lines/{self.slug}/set-up/base/"
        _until(lambda: "The line starts from" in lead.look(base), "the base policy", lead, base)
        self.say("the base policy is checked, copied and deployed")
        campaign = f"/set-up/{self.line}/campaign/"
        lead.fill(campaign, name="First answers", guidelines="Prefer the shorter answer.")
        prompts = f"/set-up/{self.line}/prompts/"
        lead.fill(prompts, pasted="\n".join(f"What is {n} plus {n % 7}?" for n in range(700)))
        _until(lambda: "700 prompts" in lead.look(prompts), "the prompts", lead, prompts)
        self.say("700 prompts are pasted and taken in")
        self._people(plan)
        review = f"/lines/{self.slug}/set-up/"
        lead.fill(review, "/state/")
        lead.fill(review, "/first-pairs/")

    def _people(self, plan: dict[str, Any]) -> None:
        roles = dict.fromkeys(ANNOTATORS, "annotator") | {"eve": "engineer"}
        rows = "".join(f"{name},{name}@example.org,{role}\n" for name, role in roles.items())
        page = self.lead.fill("/people/many/", table=f"username,email,role\n{rows}")
        links = [html.unescape(link) for link in re.findall(r'data-copy="(http[^"]+)"', page)]
        people = dict(zip(roles, (self.person() for _ in roles), strict=True))
        for link, (name, person) in zip(links, people.items(), strict=True):
            person.join(link, name)
        address = self.lead.address
        self.raters = tuple(Outerloop(address, people[name].token("label")) for name in ANNOTATORS)
        self.engineer = Outerloop(address, people["eve"].token("read,export,rounds"))
        written = _Forms()
        written.feed(people["eve"].look(f"/lines/{self.slug}/plan/"))
        whole = json.loads(next(f["plan"] for _, f in written.forms if "plan" in f))
        people["eve"].fill(f"/lines/{self.slug}/plan/", plan=json.dumps(_merged(whole, plan)))
        self.say(f"{len(people)} people have chosen passwords and made tokens; the plan is short")

    def label(self) -> int:
        """Everything that is open, the shorter answer preferred."""
        assert self.engineer is not None
        (campaign,) = (found["id"] for found in self.engineer.campaigns(line=self.line))
        if not self.labels:
            for rater in self.raters:
                rater.guidelines_accept(campaign)
        count = 0
        for rater in self.raters:
            for pair in rater.pairs(campaign):
                rater.answer(pair, 2 if len(pair["left"]) <= len(pair["right"]) else 6)
                count += 1
                if count % 25 == 0:
                    break
        self.labels += count
        return count

    def turn(self) -> dict[str, Any]:
        """Label, start a round, label for its gate, approve; the round as it ends."""
        assert self.engineer is not None
        _until(lambda: self.label() > 0, "the first pairs", self.lead, f"/lines/{self.slug}/")
        while self.label():
            pass
        self.say(f"{self.labels} labels are given")
        self.engineer.round_start(self.line, forced=True)
        state, until = "", time.monotonic() + PATIENCE
        while state not in ("CLOSED", "FAILED", "CANCELLED"):
            if time.monotonic() > until:
                raise SystemExit(f"The round is still {state}.")
            found = max(self.engineer.rounds(self.line), key=lambda each: each["number"])
            if found["state"] != state:
                state = found["state"]
                self.say(f"round {found['number']}: {state}")
            if state == "AWAITING_LABELS":
                self.label()
            elif state == "AWAITING_APPROVAL":
                path = f"/lines/{self.slug}/rounds/{found['number']}/"
                with suppress(LookupError):  # approved already, and not yet taken up
                    self.lead.fill(f"{path}report/", "/approve/", approve="1")
            time.sleep(2)
        return found


def _merged(whole: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    inner = {k: _merged(whole[k], v) if isinstance(v, dict) else v for k, v in changes.items()}
    return {**whole, **inner}


def _until(holds: Callable[[], Any], what: str, person: Person, path: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"Waited in vain for {what}: {_words(person.look(path))}")
        time.sleep(1)


def _words(page: str) -> str:
    """What a page says, without its frame."""
    main = page.partition("<main")[2].partition("</main")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", main))[:2500]
