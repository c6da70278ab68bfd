"""A model's text as Markdown that keeps what was written, and where two texts only look alike.

Markdown folds lines and spaces, drops backslashes and underscores, renumbers lists and hides definitions:
two different programs can come out as one. Here line breaks, indentation, escapes, entities, `__init__`,
`a*b*c` and the numbers of lists stay. What still looks the same though it is written differently (the
target of a link, trailing spaces, letters of two alphabets) is marked where it stands.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.emphasis import tokenize as _emphasis_read
from markdown_it.rules_inline.escape import escape as _escape_read
from markdown_it.token import Token

from web.markdown import MARKDOWN_LIMIT, html_cleaned, markdown_parser, marks_shown

from .alphabets import CYRILLIC

OTHERWISE = '<span class="otherwise"></span>'  # the page's script puts the words in
_BLOCKS = {"fence", "code_block", "hr", "math_block"}
_LINES = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$")
_TAGS = re.compile(r"<[^>]*>")

# Letters that most faces draw alike, and marks that are told apart only side by side.
_GREEK = dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧονρ", "ABEZHIKMNOPTYXovp", strict=True))
_MARKS = {
    **dict.fromkeys("‘’‚‛`´ʼ′", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys("‐‑‒–—―−﹘", "-"),
    **dict.fromkeys("I|ӏΙІ", "l"),
}
_ALIKE = str.maketrans({**CYRILLIC, **_GREEK, **_MARKS})


@dataclass
class Leaf:
    """A paragraph, heading, row, code block or item: `line` it begins on, its source and how it looks.

    `gap` is the end of its last line and the empty lines after it.
    """

    line: int
    tokens: list[Token] = field(default_factory=list)
    source: str = ""
    gap: str = ""
    looks: str = ""


@dataclass(frozen=True)
class AsWritten:
    """A text read once: its blocks (None: shown plainly, being too long or too deep) and its leaves."""

    text: str
    tokens: list[Token] | None
    leaves: list[Leaf]


def written(text: str) -> AsWritten:
    tokens = _tokens(text)
    leaves = list(_leaves(tokens)) if tokens is not None else []
    lines = _LINES.findall(text)
    if tokens is None or not leaves:
        leaves = [Leaf(0)]
    starts = [0, *(leaf.line for leaf in leaves[1:]), len(lines)]
    for leaf, (start, end) in zip(leaves, pairwise(starts), strict=True):
        leaf.source, leaf.gap = _source_and_gap(lines[start:end])
        leaf.looks = looks_of(leaf.source if tokens is None else _seen(leaf))
    return AsWritten(text, tokens, leaves)


def written_html(read: AsWritten, otherwise: Collection[int] = ()) -> str:
    """Safe HTML; leaves that begin on the lines of `otherwise` get a mark."""
    marked = [leaf for leaf in read.leaves if leaf.line in otherwise]
    if read.tokens is None:
        return f"<pre>{html.escape(marks_shown(read.text))}{OTHERWISE if marked else ''}</pre>"
    tokens = list(read.tokens)
    for leaf in marked:
        _mark(tokens, leaf)
    return html_cleaned(str(_PARSER.renderer.render(tokens, _PARSER.options, {})))


def alike_but_different(left: AsWritten, right: AsWritten) -> tuple[frozenset[int], frozenset[int]]:
    """The lines of the leaves, left and right, that look like one of the other side and are written
    differently: whatever two different texts look like, something differs or a leaf is marked."""
    sides = [_by_looks(left), _by_looks(right)]
    found: list[set[int]] = [set(), set()]
    for looks in sides[0].keys() & sides[1].keys():
        sources = [{source for source, _ in side[looks]} for side in sides]
        for mine, (side, others) in enumerate(zip(sides, reversed(sources), strict=True)):
            found[mine] |= {line for source, line in side[looks] if source not in others}
    if left.text != right.text and not any(found) and _whole(left) == _whole(right):
        found = [{read.leaves[0].line} for read in (left, right)]
    return frozenset(found[0]), frozenset(found[1])


def looks_of(text: str) -> str:
    """What is left of a text for an eye that tells nothing apart: spaces and unseen characters gone,
    letters and marks that are drawn alike made one."""
    folded = unicodedata.normalize("NFKC", text).translate(_ALIKE)
    kept = (c for c in folded if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
    return "".join(c for c in kept if not 0xFE00 <= ord(c) <= 0xFE0F and c != "\u034f")


def _by_looks(read: AsWritten) -> dict[tuple[str | None, ...], list[tuple[str, int]]]:
    """(source, line) by the looks of a leaf, and by those of two neighbours for what is between them."""
    found: dict[tuple[str | None, ...], list[tuple[str, int]]] = {}
    following = [*(leaf.looks for leaf in read.leaves[1:]), None]
    for leaf, after in zip(read.leaves, following, strict=True):
        found.setdefault((leaf.looks,), []).append((leaf.source, leaf.line))
        found.setdefault((leaf.looks, after), []).append((leaf.gap, leaf.line))
    return found


def _whole(read: AsWritten) -> str:
    return "".join(leaf.looks for leaf in read.leaves)


def _tokens(text: str) -> list[Token] | None:
    if len(text) > MARKDOWN_LIMIT:
        return None
    try:
        return _PARSER.parse(marks_shown(text))
    except RecursionError:
        return None


def _leaves(tokens: Sequence[Token]) -> Iterator[Leaf]:
    """Tokens that hold text, together where they begin on one line (the cells of a row)."""
    leaf, row = None, 0
    for token in tokens:
        if token.map is not None:
            row = token.map[0]
        if token.type != "inline" and token.type not in _BLOCKS:
            continue
        if leaf is None or leaf.line != row:
            if leaf is not None:
                yield leaf
            leaf = Leaf(row)
        leaf.tokens.append(token)
    if leaf is not None:
        yield leaf


def _source_and_gap(lines: list[str]) -> tuple[str, str]:
    kept = list(lines)
    while kept and not kept[-1].strip():
        kept.pop()
    body = "".join(kept)
    source = body.rstrip("\r\n")
    return source, body[len(source) :] + "".join(lines[len(kept) :])


def _seen(leaf: Leaf) -> str:
    return "".join(_text_seen(each) for token in leaf.tokens for each in token.children or [token])


def _text_seen(token: Token) -> str:
    if token.type in ("math", "math_block"):  # two ways to write a formula are drawn alike
        rendered = str(_PARSER.renderer.render([token], _PARSER.options, {}))
        return html.unescape(_TAGS.sub("", rendered))
    return token.content


def _mark(tokens: list[Token], leaf: Leaf) -> None:
    """Put the mark into the leaf's text, or behind it where it has none."""
    first = leaf.tokens[0] if leaf.tokens else None
    if first is not None and first.type == "inline":
        first.children = [*(first.children or []), Token("html_inline", "", 0, content=OTHERWISE)]
        return
    place = (
        len(tokens) if first is None else next(i for i, t in enumerate(tokens) if t is first) + 1
    )
    tokens.insert(place, Token("html_block", "", 0, content=f"<p>{OTHERWISE}</p>"))


# ------------------------------------------------------------------------ rules of the parser


def _newline(state: StateInline, silent: bool) -> bool:
    """A break where there is one, and the spaces around it."""
    if state.src[state.pos] != "\n":
        return False
    if not silent:
        state.push("softbreak", "br", 0)
    state.pos += 1
    return True


def _escape(state: StateInline, silent: bool) -> bool:
    """As ever, but that a backslash at the end of a line stays a backslash."""
    at_break = state.src.startswith("\\\n", state.pos)
    return not at_break and _escape_read(state, silent)


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Stars alone emphasise, and not between letters of a name or a product: `__init__`, `a*b*c`."""
    if state.src[state.pos] != "*":
        return False
    run = re.compile(r"\*+").match(state.src, state.pos)
    assert run is not None
    around = (
        state.src[run.start() - 1 : run.start()] if run.start() else "",
        state.src[run.end() : run.end() + 1],
    )
    if not all(re.fullmatch(r"[\w)\]]", c, re.ASCII) for c in around):
        return _emphasis_read(state, silent)
    if not silent:
        state.pending += run.group()
    state.pos = run.end()
    return True


def _indent_kept(state: StateCore) -> None:
    """The spaces before a paragraph's first line; the parser strips them."""
    lines = state.src.split("\n")
    for before, token in zip(state.tokens, state.tokens[1:], strict=False):
        if before.type == "paragraph_open" and token.level == 1 and token.map:
            first = lines[token.map[0]]
            token.content = first[: len(first) - len(first.lstrip(" \t"))] + token.content


def _as_written(state: StateCore) -> None:
    """Escapes and entities as they stand, and the numbers of ordered lists."""
    for token in state.tokens:
        if token.type == "list_item_open" and token.info:
            token.attrSet("value", token.info)
        for child in token.children or []:
            if child.type == "text_special":
                child.content = child.markup


def _render_text(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any
) -> str:
    """Spaces that HTML would fold lie in a span whose style keeps them."""
    begins = index == 0 or tokens[index - 1].type == "softbreak"
    spaces = re.compile(r"\A[ \t]+|[ \t]*\t[ \t]*| {2,}" if begins else r"[ \t]*\t[ \t]*| {2,}")
    escaped = escapeHtml(tokens[index].content)
    return spaces.sub(lambda found: f'<span class="kept">{found.group()}</span>', escaped)


def _parser() -> MarkdownIt:
    parser = markdown_parser()
    parser.options["breaks"] = True
    parser.disable("reference")
    parser.inline.ruler.at("newline", _newline)
    parser.inline.ruler.at("escape", _escape)
    parser.inline.ruler.at("emphasis", _emphasis)
    parser.core.ruler.after("block", "indent_kept", _indent_kept)
    parser.core.ruler.before("text_join", "as_written", _as_written)
    parser.add_render_rule("text", _render_text)
    return parser


_PARSER = _parser()
