"""The one registry: what the rooms add to pages that are not their own.

The ground floor imports no room, and a room imports none above it. So a page leaves a place open, and
whoever has something for it registers that once, in `AppConfig.ready`:

    from web.registry import NavigationLink, register

    register(
        NavigationLink("campaigns", "Campaigns", "campaigns:list", frozenset({"engineer", "lead"}), 30)
    )

The page asks for what was registered: `registered(NavigationLink)`. Each class below is one such place;
there are no others, and a key is given once in each. Lower orders come first (on the home page: 10 what
waits for me, 20 what runs, 30 what is looked up), then keys.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

if TYPE_CHECKING:
    from .events import Event
    from .voices import Spoken

Context = Mapping[str, Any]


@dataclass(frozen=True)
class Panel:
    """A part of the home page; `read` gives the template's context, or None: there is nothing to show."""

    key: str
    roles: frozenset[str]
    order: int
    template: str
    read: Callable[[HttpRequest], Context | None]


@dataclass(frozen=True)
class NavigationLink:
    """An entry of the navigation; `url_name` takes no arguments."""

    key: str
    label: str
    url_name: str
    roles: frozenset[str]
    order: int


@dataclass(frozen=True)
class LineAction:
    """A button on a line's page; `url_name` takes the slug and answers to POST."""

    key: str
    label: str
    url_name: str
    confirm: str
    simulated_only: bool
    order: int = 0


@dataclass(frozen=True)
class ReportCard:
    """What a person may do about a round, on its report; `read` gets the request and the round's id."""

    key: str
    template: str
    read: Callable[[HttpRequest, UUID], Context | None]
    order: int = 0


@dataclass(frozen=True)
class RoundPlace:
    """A round by name, its page, and where a POST cancels it (empty: it is over)."""

    name: str
    url: str
    cancel_url: str = ""


@dataclass(frozen=True)
class RoundLookup:
    """Where a round is found by its id, for the page of a run that belongs to it."""

    key: str
    find: Callable[[UUID], RoundPlace | None]
    order: int = 0


@dataclass(frozen=True)
class NamedLine:
    """A line by name, and its page (empty where the name was not registered); an archived one is named
    where something of it is shown, and offered nowhere."""

    id: UUID
    name: str
    url: str = ""
    archived: bool = False


@dataclass(frozen=True)
class LineNames:
    """Where the names of policy lines are read, for rooms that hold a line as an opaque id."""

    key: str
    read: Callable[[], Iterable[NamedLine]]
    order: int = 0


@dataclass(frozen=True)
class LineLink:
    """A link on a line's page, for those who hold one of the roles on it; `address` is of the line's slug."""

    key: str
    label: str
    roles: frozenset[str]
    address: Callable[[str], str]
    order: int = 0


@dataclass(frozen=True)
class ModelLink:
    """A link wherever a model version is named to the staff of its line; `address` is of the version's id."""

    key: str
    label: str
    address: Callable[[UUID], str]
    order: int = 0


@dataclass(frozen=True)
class StepAct:
    """A button for what a step still lacks: it posts `fields` to `url`."""

    label: str
    url: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StepState:
    """How far a step is, in a sentence; `act` is there for those who may do it. A step that is `under_way`
    waits for something under way, and not for a person."""

    done: bool
    says: str
    act: StepAct | None = None
    under_way: bool = False


@dataclass(frozen=True)
class SetUpStep:
    """A step of setting a line up, in the order of the numbers: its page, and how far it is. Nothing is kept
    of it but what it makes. `roles` are those that its page lets in; both functions get the line's id."""

    key: str
    label: str
    roles: frozenset[str]
    order: int
    address: Callable[[UUID], str]
    read: Callable[[HttpRequest, UUID], StepState]


@dataclass(frozen=True)
class EventKind:
    """A kind of event that a room tells of (web.events), as `thing.happened`, and what it means."""

    key: str
    says: str
    order: int = 0


@dataclass(frozen=True)
class EventSink:
    """Who listens to events; `take` only writes rows: it runs in the transaction of what happened."""

    key: str
    take: Callable[[Event], None]
    order: int = 0


@dataclass(frozen=True)
class PolicyVoice:
    """Where the deployed policy of a line is asked, by the line's id: one answer to the messages for each seed,
    all at once, piece by piece (`web.voices`). Raises `PolicySilent`."""

    key: str
    ask: Callable[[UUID, Sequence[Mapping[str, str]], Sequence[int]], Generator[Spoken]]
    order: int = 0


Extension = (
    Panel
    | NavigationLink
    | LineAction
    | ReportCard
    | RoundLookup
    | LineNames
    | LineLink
    | ModelLink
    | SetUpStep
    | EventKind
    | EventSink
    | PolicyVoice
)
Kind = TypeVar(
    "Kind",
    Panel,
    NavigationLink,
    LineAction,
    ReportCard,
    RoundLookup,
    LineNames,
    LineLink,
    ModelLink,
    SetUpStep,
    EventKind,
    EventSink,
    PolicyVoice,
)

_registered: dict[type[Extension], dict[str, Any]] = {kind: {} for kind in get_args(Extension)}


def register(*extensions: Extension) -> None:
    """Add to pages; ImproperlyConfigured where a key is taken or nothing shows such a thing."""
    for extension in extensions:
        kind = type(extension)
        if kind not in _registered:
            raise ImproperlyConfigured(f"No page has a place for a {kind.__name__}.")
        if extension.key in _registered[kind]:
            raise ImproperlyConfigured(
                f"A {kind.__name__} {extension.key!r} is registered already."
            )
        _registered[kind][extension.key] = extension


def registered(kind: type[Kind]) -> list[Kind]:
    return sorted(_registered[kind].values(), key=lambda one: (one.order, one.key))


def drawn(
    request: HttpRequest, parts: Iterable[Panel | ReportCard], *about: Any
) -> list[SafeString]:
    """The parts as HTML, without those that have nothing to show."""
    read = [(part.template, part.read(request, *about)) for part in parts]
    return [
        mark_safe(render_to_string(template, dict(context), request=request))  # noqa: S308 - a
        for template, context in read  # template's own output, already escaped
        if context is not None
    ]


def lines_offered(allowed: set[UUID] | None = None) -> list[NamedLine]:
    """The lines to choose among: those of `line_names` that are not archived."""
    return [line for line in line_names(allowed) if not line.archived]


def line_names(allowed: set[UUID] | None = None) -> list[NamedLine]:
    """The lines by name; `allowed` is what `access.lines_of` returns (None: every line)."""
    found = [line for source in registered(LineNames) for line in source.read()]
    return sorted(
        (line for line in found if allowed is None or line.id in allowed),
        key=lambda line: line.name,
    )


def line_named(line_id: UUID) -> NamedLine:
    """The line, or the start of its id for a name where nobody registered it."""
    found = {line.id: line for line in line_names()}
    return found.get(line_id, NamedLine(line_id, str(line_id)[:8]))


def line_name(line_id: UUID) -> str:
    return line_named(line_id).name


def round_place(round_id: UUID | None) -> RoundPlace | None:
    """The round that something belongs to; None where it belongs to none, or nobody knows it."""
    if round_id is None:
        return None
    places = (lookup.find(round_id) for lookup in registered(RoundLookup))
    return next((place for place in places if place is not None), None)
