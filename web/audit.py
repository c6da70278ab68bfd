"""The audit log as sentences: who did what to which thing, with a way to it.

The log keeps short verbs, ids and figures, and is never changed; what they are called is chosen here,
when it is read, so that names follow the people and things (an erased person reads "a former member").
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.urls import NoReverseMatch, Resolver404, resolve, reverse

from .models import AuditEvent
from .registry import NamedLine, line_names

# What is read for each verb; {} is the thing it was done to.
SENTENCES = {
    "added person": "added {}",
    "added prompts": "added {}",
    "added troubled prompts": "added {} that users gave thumbs down",
    "answered question": "answered a question about a pair of {}",
    "approve": "approved the deployment of {}",
    "archived campaign": "archived {}",
    "archived line": "archived the line",
    "asked again where votes differ": "asked again about pairs of {} whose votes differ",
    "canary_overtaken": "ended the canary {} with a rollback",
    "canary_start": "let {} answer a share of the users as a canary",
    "canary_taken_back": "took back the canary {}",
    "canary_widened": "widened the canary {} to everybody",
    "canary_worse": "took back the canary {}, which users' votes show worse",
    "cancelled round": "cancelled {}",
    "cancelled run": "cancelled {}",
    "changed campaign": "changed the settings of {}",
    "changed hidden names": "changed the names that {} hides",
    "changed plan": "changed the plan of the next round",
    "changed what becomes of gate labels": "changed what becomes of gate labels",
    "changed schedule": "changed the schedule",
    "changed whom promoted policies answer first": "changed whom promoted policies answer first",
    "changed who approves promotions": "changed who approves promotions",
    "changed state": "moved {} to another state",
    "closed account": "closed the account of {}",
    "created campaign": "created {}",
    "decision_record": "decided {}",
    "decline": "held back the candidate of {}",
    "deployment_deploy": "deployed {}",
    "deployment_initial": "deployed {} as the first policy",
    "deployment_rollback": "rolled back to {}",
    "downloaded export": "downloaded {}",
    "made line": "made the line {}",
    "ordered check of suite": "ordered the check of the suite {}",
    "ordered base policy": "ordered the base policy from {}",
    "set the judge": "set the LLM judge of {}",
    "switched the judge off": "switched the LLM judge of {} off",
    "erased person": "erased {}",
    "erased signals": "erased the signals of {}",
    "switched signals off": "switched signals off, and forgot the answers that were kept for them",
    "switched signals on": "switched signals on: answers are kept for feedback",
    "edited gold item": "edited a gold item of {}",
    "exported": "ordered {}",
    "gate_policy_confirmed": "confirmed the weaker {}, as the second lead",
    "gate_policy_declined": "declined the weaker {}",
    "gate_policy_request": "asked a second lead for the weaker {}",
    "gate_policy_save": "saved {}",
    "gate_policy_withdrawn": "withdrew the weaker {}",
    "gave role": "gave {} a role",
    "imported": "imported {}",
    "label_plan_keep": "kept {}",
    "left out answers": "left out answers of {}",
    "made API token": "made an API token",
    "made gold item": "made a gold item in {}",
    "made backup": "made a backup",
    "opened account": "opened the account of {} again",
    "override_confirm": "confirmed an override in {}, as the second lead",
    "override_request": "asked for an override in {}",
    "published guidelines": "published guidelines for {}",
    "released pair": "released a held pair of {}",
    "pushed model": "ordered the push of {}",
    "removed artifacts": "removed artifacts that retention no longer keeps",
    "restored backup": "restored a backup",
    "released gate labels": "let the gate labels of {} into training",
    "retired gold item": "retired a gold item of {}",
    "revoked API token": "revoked an API token",
    "sent answer back": "sent an answer in {} back with a word",
    "set base policy": "set the base policy",
    "settled pair": "settled a pair of {}",
    "started round": "started {}",
    "took answers in again": "took answers of {} in again",
    "took back campaign": "took back {} from the archive",
    "took back line": "took back the line from the archive",
    "took role": "took a role from {}",
    "took up round": "took up {} again",
    "changed webhook": "changed {}",
    "deleted webhook": "deleted {} with its log",
    "made webhook": "made {}",
    "renewed webhook secret": "gave {} a new secret",
    "shadow_end": "ended the shadow {}",
    "shadow_start": "let {} answer a share of the requests unseen, as a shadow",
    "sent event again": "sent an event to {} again",
    "tested webhook": "sent a test event to {}",
    "unsettled pair": "let the votes on a pair of {} count again",
    "wrote export": "wrote an export into the {}",
}
# Processes that act by themselves, and the command line.
PROCESSES = {
    "command": "the command line",
    "demo": "the demo",
    "gate": "the gate",
    "round": "the loop",
    "schedule": "the schedule",
    "set-up": "the set-up",
    "shell": "the command line",
    "signals": "the comparison of users' votes",
}
DETAILS = {
    "alpha": "share of mistaken promotions allowed",
    "bytes": "bytes freed",
    "canary_share": "percent of the users that it answers first",
    "compared": "users' votes are compared",
    "count": "files and folders removed",
    "days": "days kept",
    "max_age_hours": "longest wait for labels (hours)",
    "max_labels": "most labels in a round",
    "rounds": "rounds kept",
    "requests_share": "percent of the requests",
    "share": "percent of the users",
}
# Keys of the machine: they say nothing that the sentence and its link do not.
UNSAID = {"artifact_sha256", "deployment", "evidence_sha256", "job", "push", "sha256"}
_WORD = re.compile(r"[a-z]+(?:_[a-z]+)+")
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Act:
    """One row of the log: `before` and `after` are the words around `thing`."""

    at: datetime
    who: str
    before: str
    thing: str
    url: str
    after: str
    line: NamedLine | None
    details: tuple[tuple[str, str], ...]


def acts(events: Iterable[AuditEvent]) -> list[Act]:
    events = list(events)
    lines = {line.id: line for line in line_names()}
    names = people_named([*(e.actor for e in events), *(_id(e.target) for e in events)])
    return [_act(event, lines, names) for event in events]


def people_named(keys: Iterable[str]) -> dict[str, str]:
    """Name of each user id, "a former member" for one that is gone; processes by what they are called."""
    wanted = set(keys)
    ids = {key for key in wanted if _ID.fullmatch(key)}
    known = {str(u.pk): str(u) for u in get_user_model().objects.filter(pk__in=ids)}
    return {
        key: known.get(key, "a former member" if key in ids else PROCESSES.get(key, key))
        for key in wanted
    }


def _act(event: AuditEvent, lines: dict[uuid.UUID, NamedLine], names: dict[str, str]) -> Act:
    line = lines.get(event.line) if event.line else None
    thing, url = _thing(event.target, line, names)
    sentence = SENTENCES.get(event.verb, f"{event.verb.replace('_', ' ')} {{}}")
    before, shown, after = sentence.partition("{}")
    return Act(
        at=event.at,
        who=names[event.actor],
        before=before,
        thing=thing if shown else "",
        url=url,
        after=after,
        line=line,
        details=tuple(_details(event.detail)),
    )


def _thing(target: str, line: NamedLine | None, names: dict[str, str]) -> tuple[str, str]:
    """(words, address) of what the act was done to; an address that is not there is empty."""
    kind, _, name = target.partition(" ")
    identity = _id(target)
    if kind == "person" and identity:
        return names[identity], _address("accounts:people")
    if kind == "export":
        return "an export", _address("exchange:export_job", identity)
    if kind == "campaign":
        return f"the campaign {name}", _address("campaigns:list")
    if kind == "gate":
        return f"version {name.removeprefix('policy ')} of the gate policy", _of_line(
            "gates:policy", line
        )
    if kind == "plan":
        return f"a {target}", _of_line("gates:label_design", line)
    if kind == "policy":
        return target, _of_line("gates:deployments", line)
    if identity:
        return "a run", _address("runs:run", identity)
    number = re.fullmatch(r"(?:round |.+/)(\d+)", target)
    return (f"round {number[1]}", _round(line, int(number[1]))) if number else (target, "")


def _id(target: str) -> str:
    found = _ID.search(target)
    return found[0] if found else ""


def _of_line(name: str, line: NamedLine | None) -> str:
    return _address(name, line.id) if line else ""


def _round(line: NamedLine | None, number: int) -> str:
    try:
        slug = resolve(line.url).kwargs["slug"] if line else ""
    except (Resolver404, KeyError):
        return ""
    return _address("rounds:round", slug, number) if slug else ""


def _address(name: str, *place: Any) -> str:
    try:
        return reverse(name, args=place)
    except NoReverseMatch:
        return ""


def _details(detail: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Name and value of what is worth reading; of two states of one thing, what differs."""
    before, after = detail.get("before"), detail.get("after")
    if isinstance(before, dict) and isinstance(after, dict):
        left, right = dict(_flat(before)), dict(_flat(after))
        detail = {
            key: (left.get(key), right.get(key))
            for key in sorted(left.keys() | right.keys())
            if left.get(key) != right.get(key)
        }
    for key, value in detail.items():
        if key not in UNSAID and value not in ("", None, {}, []) and not _ID.fullmatch(str(value)):
            yield DETAILS.get(key, key.replace("_", " ").replace(".", ": ")), _shown(value)


def _flat(document: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " → ".join(_shown(state) for state in value)
    if isinstance(value, list) and value:
        return "; ".join(_shown(item).rstrip(".") for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_shown(inner)}" for key, inner in _flat(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", []):
        return "none"
    return value.replace("_", " ") if _WORD.fullmatch(str(value)) else str(value)
