"""Text of models and people as safe HTML: Markdown, highlighted code, TeX as MathML.

Whatever goes in, what comes out holds only the elements and attributes listed here: markdown-it runs with
raw HTML off, and nh3 cleans its output again. Pictures are not loaded (a request to a foreign host would tell
it who reads), they stay links.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import nh3
from latex2mathml.converter import convert as tex_to_mathml
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_block import StateBlock
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

MARKDOWN_LIMIT = 100_000
TEX_LIMIT = 2_000
CODE_LIMIT = 20_000

_TEXT_WORDS = (
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a span div"
    " table thead tbody tr th td"
)
_MATH_WORDS = (
    "math mrow mi mn mo ms mtext mspace msup msub msubsup munder mover munderover mfrac msqrt mroot"
    " mtable mtr mtd mpadded mphantom menclose mstyle"
)
_TEXT_TAGS, _MATH_TAGS = set(_TEXT_WORDS.split()), set(_MATH_WORDS.split())
_MATH_ATTRIBUTES = {
    "display", "mathvariant", "stretchy", "fence", "form", "separator", "lspace", "rspace", "minsize",
    "maxsize", "accent", "accentunder", "linethickness", "columnalign", "rowspacing", "columnspacing",
    "width", "height", "depth", "voffset", "notation", "displaystyle", "scriptlevel", "movablelimits",
}  # fmt: skip
_ATTRIBUTES: dict[str, set[str]] = {
    "a": {"href", "title"},
    "span": {"class"},  # Pygments; raw HTML is off, so no text can bring a span of its own
    "ol": {"start"},
    "li": {"dir", "value"},
    "th": {"align"},
    "td": {"align"},
    **{tag: {"dir"} for tag in ("p", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6")},
    **{tag: set(_MATH_ATTRIBUTES) for tag in _MATH_TAGS},
}
_CLEANER = nh3.Cleaner(
    tags=_TEXT_TAGS | _MATH_TAGS,
    clean_content_tags={"script", "style"},
    attributes=_ATTRIBUTES,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer nofollow",
    generic_attribute_prefixes=None,
)
_FORMATTER = HtmlFormatter(nowrap=True)


# Embeddings, overrides, isolates and direction marks: what they enclose reads in another order than it is
# stored. Controls, fillers and tags: nothing is seen where they stand. Joiners and variation selectors stay,
# since emoji, Persian and the scripts of India are written with them.
_UNSEEN = (
    *(c for c in (*range(0x20), *range(0x7F, 0xA0)) if c not in (0x09, 0x0A, 0x0D)),
    *(0xAD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x200B, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    *(0x3164, 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFC)),
    *range(0xE0000, 0xE0080),
)
_SHOWN = {c: f"⟨U+{c:04X}⟩" for c in _UNSEEN}


def marks_shown(text: str) -> str:
    """The text with characters that turn its direction, or cannot be seen, made visible."""
    return text.translate(_SHOWN)


def markdown_html(text: str) -> str:
    """Safe HTML of `text`. Beyond 100,000 characters the text is shown as it is, without Markdown."""
    text = marks_shown(text)
    if len(text) > MARKDOWN_LIMIT:
        return f"<pre>{html.escape(text)}</pre>"
    try:
        return html_cleaned(_PARSER.render(text))
    except RecursionError:
        return f"<pre>{html.escape(text)}</pre>"


def html_cleaned(rendered: str) -> str:
    """HTML of a parser below with everything but the elements and attributes of this module taken out."""
    return _CLEANER.clean(rendered)


def _code_html(code: str, language: str, _attributes: str) -> str:
    """Pygments spans for a fenced block; "" lets markdown-it escape an unknown or huge one."""
    if not language or len(code) > CODE_LIMIT:
        return ""
    try:
        return str(highlight(code, get_lexer_by_name(language, stripnl=False), _FORMATTER))
    except ClassNotFound:
        return ""


def _math_html(tex: str, *, block: bool) -> str:
    """MathML, or the source as code where it is not TeX that the converter knows."""
    source = f"<code>{html.escape(tex)}</code>"
    if len(tex) > TEX_LIMIT:
        return source
    try:
        return str(tex_to_mathml(tex, display="block" if block else "inline"))
    except Exception:  # the converter raises many kinds; a text must never fail to show for its TeX
        return source


def _render_inline(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any
) -> str:
    return _math_html(tokens[index].content, block=tokens[index].block)


def _render_block(
    _self: RendererHTML, tokens: Sequence[Token], index: int, _options: Any, _env: Any
) -> str:
    return f"<div>{_math_html(tokens[index].content, block=True)}</div>\n"


_INLINE_MARKS = (("$$", "$$", True), ("\\(", "\\)", False), ("\\[", "\\]", True), ("$", "$", False))


def _math_inline(state: StateInline, silent: bool) -> bool:
    for opening, closing, block in _INLINE_MARKS:
        if not state.src.startswith(opening, state.pos):
            continue
        start = state.pos + len(opening)
        end = state.src.find(closing, start, min(state.posMax, start + TEX_LIMIT))
        if end < 0 or not _is_math(state.src, start, end, dollar=opening == "$"):
            continue
        if not silent:
            token = state.push("math", "math", 0)
            token.content, token.block = state.src[start:end], block
        state.pos = end + len(closing)
        return True
    return False


def _is_math(source: str, start: int, end: int, *, dollar: bool) -> bool:
    """Whether it is TeX: not empty, and for single dollars not a sum of money ("$5 and $6")."""
    content = source[start:end]
    if not content.strip():
        return False
    if not dollar:
        return True
    after = source[end + 1 : end + 2]
    return not (content[0].isspace() or content[-1].isspace() or after.isdigit())


def _math_block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    """A display formula between lines that hold `$$` (or `\\[` and `\\]`) alone."""
    first = state.getLines(start_line, start_line + 1, state.blkIndent, False).strip()
    closing = {"$$": "$$", "\\[": "\\]"}.get(first)
    if closing is None:
        return False
    for line in range(start_line + 1, end_line):
        if state.getLines(line, line + 1, state.blkIndent, False).strip() == closing:
            break
    else:
        return False
    if not silent:
        token = state.push("math_block", "math", 0)
        token.content = state.getLines(start_line + 1, line, state.blkIndent, False)
        token.map = [start_line, line + 1]
        state.line = line + 1
    return True


_DIRECTED = {"paragraph_open", "heading_open", "list_item_open", "blockquote_open"}


def _direct(state: StateCore) -> None:
    """Every block takes the direction of its own first letter, so that mixed scripts read rightly."""
    for token in state.tokens:
        if token.type in _DIRECTED:
            token.attrSet("dir", "auto")


def markdown_parser() -> MarkdownIt:
    """A parser of its own, for one who adds rules to it."""
    parser = MarkdownIt("commonmark", {"html": False, "highlight": _code_html})
    parser.enable(["table", "strikethrough"]).disable("image")
    parser.inline.ruler.before("escape", "math", _math_inline)
    parser.block.ruler.before("fence", "math_block", _math_block, {"alt": ["paragraph"]})
    parser.core.ruler.push("direct", _direct)
    parser.add_render_rule("math", _render_inline)
    parser.add_render_rule("math_block", _render_block)
    return parser


_PARSER = markdown_parser()
