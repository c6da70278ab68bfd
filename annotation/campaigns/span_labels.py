"""The labels of a campaign with which people mark parts of an answer: name, colour and help, the key their place.

In a form they stand one a line: `Wrong fact | red | Something that is not so`. Colour and help may be left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.text import slugify

from annotation.contracts import AnnotationError

# Colours of the stylesheet's palette. A label that names none takes the next one that is free.
COLOURS = ("red", "amber", "green", "blue", "violet", "grey")
MOST_LABELS = 9  # each is chosen by a digit
LONGEST_KEY, LONGEST_NAME, LONGEST_HELP = 40, 60, 200


@dataclass(frozen=True)
class SpanLabel:
    """`key` is what marks are stored under, made of the name."""

    key: str
    name: str
    colour: str
    help: str = ""


def labels_of(stored: Iterable[Mapping[str, str]]) -> tuple[SpanLabel, ...]:
    """What a campaign's `span_labels` hold."""
    return tuple(SpanLabel(**each) for each in stored)


def labels_read(text: str) -> list[dict[str, str]]:
    """The labels of a form's text. Raises `AnnotationError` that names the line."""
    rows = [line.split("|", 2) for line in text.splitlines() if line.strip()]
    parts = [[part.strip() for part in row] + ["", ""] for row in rows]
    return labels_checked(
        [{"name": name, "colour": colour.lower(), "help": says} for name, colour, says, *_ in parts]
    )


def labels_text(stored: Iterable[Mapping[str, str]]) -> str:
    """The same as a form shows them."""
    rows = [" | ".join(filter(None, (x.name, x.colour, x.help))) for x in labels_of(stored)]
    return "\n".join(rows)


def labels_checked(asked: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Labels as they are stored, from name, colour ("" for the next that is free), help and perhaps a key.

    Raises `AnnotationError` that names the label: more than 9, a name without letters or digits, a colour
    that is none of the palette, two of one name.
    """
    if len(asked) > MOST_LABELS:
        raise AnnotationError(f"At most {MOST_LABELS} labels: each is chosen by a digit.")
    taken = [each.get("colour") for each in asked if each.get("colour")]
    found: list[SpanLabel] = []
    for each in asked:
        label = _label(each, taken)
        if label.key in {other.key for other in found}:
            raise AnnotationError(f"Two labels are called {label.name!r}: give each its own name.")
        found.append(label)
    return [asdict(label) for label in found]


def _label(asked: Mapping[str, Any], taken: list[Any]) -> SpanLabel:
    name, colour, says = (str(asked.get(part) or "") for part in ("name", "colour", "help"))
    key = str(asked.get("key") or slugify(name)[:LONGEST_KEY])
    if not key or key != slugify(key) or len(key) > LONGEST_KEY:
        raise AnnotationError(f"The label {name[:60]!r} needs a name with letters or digits.")
    for part, text, most in (("name", name, LONGEST_NAME), ("help", says, LONGEST_HELP)):
        if len(text) > most or not text.isprintable():
            raise AnnotationError(
                f"The {part} of the label {name[:60]!r} is not one line of at most {most} characters."
            )
    if colour and colour not in COLOURS:
        raise AnnotationError(
            f"There is no colour {colour[:60]!r} for {name[:60]!r}; use one of {', '.join(COLOURS)}."
        )
    if not colour:
        colour = next((c for c in COLOURS if c not in taken), COLOURS[len(taken) % len(COLOURS)])
        taken.append(colour)
    return SpanLabel(key, name, colour, says)


def labels_missing(stored: Sequence[Mapping[str, str]], keys: Collection[str]) -> list[str]:
    """Those of the keys that no label has."""
    return sorted(set(keys) - {label.key for label in labels_of(stored)})
