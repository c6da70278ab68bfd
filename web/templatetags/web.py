"""The small components of every page: `{% load web %}`.

{{ text|markdown }}                         safe HTML of Markdown, code and TeX (wrap it in class="prose")
{{ text|plain_shown }}                      plain text, direction marks made visible
{% icon "check" %}                          a 16 px sign, hidden from screen readers
{% status "good" "Promoted" %}              a word with its sign: good, attention, bad, neutral, running
{% short_id value %}                        the first eight characters; a click copies the whole
{% interval_mark low point high threshold=0.5 minimum=0 maximum=1 meaning="good" says="58 % (54-62 %)" %}
{% line_link line_id %}                     the line's name, leading to its page
{% model_links version_id name %}           what may be done with a model version, as small buttons
{% sparkline values says="rating by round" %} a small line of numbers, oldest first
{{ seconds|duration }}                      "3 min 20 s"
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from uuid import UUID

from django import template
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from web.markdown import markdown_html, marks_shown
from web.registry import ModelLink, line_named, registered

register = template.Library()

# 16 x 16, stroked with the current colour.
_ICONS = {
    "check": "M3 8.5 6.5 12 13 4.5",
    "cross": "M4 4l8 8M12 4l-8 8",
    "attention": "M8 2.5 14.5 13.5h-13zM8 6.5v3.5M8 11.8v.4",
    "info": "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM8 7.2v4M8 4.6v.4",
    "neutral": "M3.5 8h9",
    "running": "M8 1.5a6.5 6.5 0 1 1-6 4M2 1.8v3.8h3.8",
    "waiting": "M8 14.5a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM8 4.5V8l2.5 2",
    "bell": "M8 2a4 4 0 0 0-4 4c0 4-1.5 5-1.5 5.5h11C13.5 11 12 10 12 6a4 4 0 0 0-4-4zM6.5 13.5a1.6 1.6 0 0 0 3 0",
    "loop": "M13.5 6A6 6 0 0 0 2.7 5.5M2.5 2v3.5H6M2.5 10a6 6 0 0 0 10.8.5M13.5 14v-3.5H10",
}
_MEANING_ICON = {
    "good": "check",
    "attention": "attention",
    "bad": "cross",
    "neutral": "neutral",
    "info": "info",
    "running": "running",
    "waiting": "waiting",
}


@register.filter
def markdown(text: str | None) -> SafeString:
    return mark_safe(markdown_html(text or ""))  # noqa: S308 - markdown_html returns cleaned HTML


@register.filter
def plain_shown(text: str | None) -> str:
    """A text of a model as it is, with what would turn its direction made visible."""
    return marks_shown(text or "")


@register.simple_tag
def icon(name: str) -> SafeString:
    """One sign; an unknown name is an error in the template, and says so."""
    if name not in _ICONS:
        raise template.TemplateSyntaxError(f"No icon is called {name!r}: {', '.join(_ICONS)}.")
    return format_html(
        '<svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor"'
        ' stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"'
        ' focusable="false"><path d="{}"/></svg>',
        _ICONS[name],
    )


@register.simple_tag
def meaning_icon(meaning: str) -> SafeString:
    return icon(_MEANING_ICON.get(meaning, "info"))


@register.simple_tag
def status(meaning: str, word: str) -> SafeString:
    colour = {"running": "neutral", "waiting": "neutral", "info": "neutral"}.get(meaning, meaning)
    return format_html(
        '<span class="status status--{}">{}<span>{}</span></span>',
        colour,
        meaning_icon(meaning),
        word,
    )


@register.simple_tag
def short_id(value: object, characters: int = 8) -> SafeString:
    text = str(value)
    return format_html(
        '<button type="button" class="id" data-copy="{}" title="{}">{}'
        '<span class="visually-hidden"> … copy the whole</span></button>',
        text, text, text[:characters],
    )  # fmt: skip


@register.simple_tag
def line_link(line_id: UUID) -> SafeString:
    line = line_named(line_id)
    return (
        format_html('<a href="{}">{}</a>', line.url, line.name) if line.url else escape(line.name)
    )


@register.simple_tag
def model_links(version_id: UUID, name: str) -> SafeString:
    """`name` is the version's, for those who hear the buttons and do not see what they stand beside."""
    return format_html_join(
        " ",
        '<a class="button button--small nowrap" href="{}">{}<span class="visually-hidden"> {}</span></a>',
        ((link.address(version_id), link.label, name) for link in registered(ModelLink)),
    )


def _at(value: float, minimum: float, maximum: float, width: int) -> float:
    share = (value - minimum) / (maximum - minimum) if maximum > minimum else 0.5
    return round(min(1.0, max(0.0, share)) * width, 1)


@register.simple_tag
def interval_mark(
    low: float | None,
    point: float | None,
    high: float | None,
    threshold: float | None = None,
    minimum: float = 0.0,
    maximum: float = 1.0,
    meaning: str = "neutral",
    says: str = "",
    width: int = 120,
) -> SafeString:
    """An interval with its point on a small axis, the threshold dashed; `says` is what is read aloud."""
    values = [v for v in (low, point, high) if v is not None and math.isfinite(v)]
    if len(values) < 3:
        return format_html('<span class="muted">{}</span>', "not measured")
    x = [_at(value, minimum, maximum, width) for value in values]
    lines = [("interval__axis", 0.0, float(width), 8, 8), ("interval__bar", x[0], x[2], 8, 8)]
    if threshold is not None and math.isfinite(threshold):
        t = _at(threshold, minimum, maximum, width)
        lines.insert(1, ("interval__threshold", t, t, 0, 16))
    drawn = format_html_join("", '<line class="{}" x1="{}" x2="{}" y1="{}" y2="{}"/>', lines)
    return format_html(
        '<svg class="interval interval--{}" width="{}" height="16" viewBox="0 0 {} 16" role="img"'
        ' aria-label="{}">{}<circle class="interval__point" cx="{}" cy="8" r="4"/></svg>',
        meaning, width, width, says or "{1:g} ({0:g} to {2:g})".format(*values), drawn, x[1],
    )  # fmt: skip


@register.simple_tag
def sparkline(values: Sequence[float], says: str, width: int = 96) -> SafeString:
    """The numbers as one small line, the last marked; nothing for fewer than two."""
    if len(values) < 2:
        return SafeString("")
    low, high = min(values), max(values)
    points = [
        (_at(i, 0, len(values) - 1, width - 8) + 4, 20 - _at(value, low, high, 16))
        for i, value in enumerate(values)
    ]
    return format_html(
        '<svg class="sparkline" width="{}" height="24" viewBox="0 0 {} 24" role="img"'
        ' aria-label="{}"><polyline points="{}"/><circle cx="{}" cy="{}" r="3"/></svg>',
        width, width, says, " ".join(f"{x:g},{y:g}" for x, y in points), *points[-1],
    )  # fmt: skip


@register.filter
def percent(share: float) -> str:
    """25% of a share of 0.25."""
    return f"{share:.0%}"


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds in words of at most two units: "42 s", "3 min 20 s", "2 h 5 min"."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 and seconds != whole else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


@register.filter
def message_meaning(level_tag: str) -> str:
    """Django's message levels in our three meanings (and plain information)."""
    return {"success": "good", "warning": "attention", "error": "bad"}.get(level_tag, "info")
