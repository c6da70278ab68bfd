from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from web.markdown import MARKDOWN_LIMIT, markdown_html

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox(1))",
    '<https://example.org/" onmouseover=alert(1)>',
    '[x](https://example.org "t\\" onclick=alert(1) ")',
    "![x](https://tracker.example.org/pixel.png)",
    "<style>body{display:none}</style>",
    "<iframe src=//evil.example></iframe>",
    "<form action=//evil.example><input name=p></form>",
    "```python\n</code></pre><script>alert(1)</script>\n```",
    '```"onload=alert(1)\nx\n```',
    "$\\text{<script>alert(1)</script>}$",
    "$$\\href{javascript:alert(1)}{x}$$",
    "$<mglyph><style><img src=x onerror=alert(1)></style></mglyph>$",
    '<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "<div style=position:fixed>over everything</div>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
]
SAFE_WORDS = (
    "p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a span div table thead tbody tr th td"
    " math mrow mi mn mo ms mtext mspace msup msub msubsup munder mover munderover mfrac msqrt mroot mtable mtr"
    " mtd mpadded mphantom menclose mstyle"
)
SAFE_TAGS = set(SAFE_WORDS.split())


class _Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_yields_no_active_element(text):
    parser = _Elements()
    parser.feed(markdown_html(text))
    for tag, attributes in parser.seen:
        assert tag in SAFE_TAGS
        assert not {
            name for name in attributes if name.startswith("on") or name in {"style", "src", "id"}
        }
        assert re.match(r"(https?:|mailto:|$)", attributes.get("href") or "")


def test_raw_html_is_shown_as_text():
    assert "&lt;b&gt;bold&lt;/b&gt;" in markdown_html("<b>bold</b>")


def test_links_leave_without_referrer():
    assert 'rel="noopener noreferrer nofollow"' in markdown_html("[x](https://example.org)")


def test_code_is_highlighted_and_escaped():
    html = markdown_html("```python\nif a < 1: pass\n```")
    assert '<span class="k">if</span>' in html
    assert "&lt;" in html


@pytest.mark.parametrize("text", ["$a^2$", "\\(a^2\\)"])
def test_tex_becomes_mathml(text):
    html = markdown_html(text)
    assert "<msup><mi>a</mi><mn>2</mn></msup>" in html
    assert 'display="inline"' in html


@pytest.mark.parametrize("text", ["$$\na^2\n$$", "$$a^2$$", "\\[a^2\\]", "\\[\na^2\n\\]"])
def test_a_formula_of_its_own_is_displayed_as_a_block(text):
    assert 'display="block"' in markdown_html(text)


def test_money_is_not_a_formula():
    assert "<math" not in markdown_html("It costs $5 and then $6 more.")


def test_broken_tex_shows_its_source():
    html = markdown_html("$\\frac{$")
    assert "\\frac{" in html


@pytest.mark.parametrize("around", ["{}", "`{}`", "```python\n{}\n```", "> {}", "$x{}y$"])
def test_marks_that_turn_the_direction_are_shown_and_do_not_act(around):
    html = markdown_html(around.format("a\u202eb\u2066c"))
    assert "⟨U+202E⟩" in re.sub(r"<[^>]+>", "", html)
    assert not {"\u202e", "\u2066"} & set(html)


def test_a_huge_text_turns_no_direction_either():
    assert "\u202e" not in markdown_html("\u202ex" * MARKDOWN_LIMIT)


def test_every_block_takes_its_own_direction():
    html = markdown_html("שלום\n\n- hello")
    assert '<p dir="auto">שלום</p>' in html
    assert '<li dir="auto">' in html


def test_a_huge_text_is_shown_plain():
    html = markdown_html("<" + "*a* " * MARKDOWN_LIMIT)
    assert html.startswith("<pre>&lt;*a*")


@pytest.mark.parametrize(
    "text", ["> " * 5000 + "x", "[" * 5000, "*" * 5000, "$" * 5000, "\\(" * 5000, "{" * 3000]
)
def test_deeply_nested_text_still_shows(text):
    assert markdown_html(text)
