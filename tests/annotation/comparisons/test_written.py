"""What was written is what is seen, and two texts that differ are never shown as one."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from annotation.comparisons.written import (
    OTHERWISE,
    alike_but_different,
    looks_of,
    written,
    written_html,
)


def rendered(text: str) -> str:
    return written_html(written(text))


def seen(text: str) -> str:
    """The text of the page: breaks as lines, tags gone."""
    broken = rendered(text).replace("<br>\n", "\n")
    return html.unescape(re.sub(r"<[^>]+>", "", broken)).removesuffix("\n")


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n  y = x\n    return  y",
        "class A:\n  def __init__(self): pass",
        "a*b*c and f(*args, **kwargs)",
        r"C:\_new\table \* \{x\} \ end",
        "a \\\nb",
        "R&amp;D &lt;b&gt; &#42; &nbsp;",
        "_one_ and __two__",
        "  indented\n\n   again",
        "[note]: https://example.org/hidden",
        "<!-- a comment --> <b>bold</b>",
        "tab\tbetween and  two  spaces",
    ],
)
def test_it_is_shown_as_it_was_written(text):
    assert seen(text).replace("\n\n", "\n") == text.replace("\n\n", "\n")


def test_spaces_that_would_be_folded_are_kept():
    assert rendered("x\n  y  z") == (
        '<p dir="auto">x<br>\n<span class="kept">  </span>y<span class="kept">  </span>z</p>\n'
    )


def test_markdown_that_is_meant_stays_markdown():
    text = "## Steps\n\n1. **Bold** and *italic*\n3. `code`\n\n| a |\n|---|\n| 1 |\n\n```python\n\nx = 1\n```"
    shown = rendered(text)
    for part in ("<h2", "<strong>Bold</strong>", "<em>italic</em>", "<code>code</code>", "<table>"):
        assert part in shown
    assert '<li value="1"' in shown
    assert '<li value="3"' in shown
    assert "<pre><code>\n<span" in shown  # the empty line before the code
    assert "<strong>重点</strong>" in rendered("这是**重点**内容")


ALIKE = {
    "a link's target": ("[a](https://x.example)", "[a](https://y.example)"),
    "trailing spaces": ("one  \ntwo", "one\ntwo"),
    "spaces at the end": ("one", "one "),
    "a line feed at the end": ("one", "one\n"),
    "empty lines": ("one\n\ntwo", "one\n\n\ntwo"),
    "empty lines at the start": ("one", "\none"),
    "a tab for spaces": ("a\tb", "a    b"),
    "the bullet": ("- one\n- two", "- one\n* two"),
    "setext and atx": ("# one", "one\n==="),
    "stars or none": ("**one**", "one"),
    "two ways to emphasise": ("*one*", "**one**"),
    "the language of code": ("```python\nx\n```", "```py\nx\n```"),
    "fence and indent": ("```\nx\n```", "    x"),
    "a formula's braces": ("$\\frac12$", "$\\frac{1}{2}$"),
    "a formula's marks": ("$x$", "\\(x\\)"),
    "a rule": ("---", "***"),
    "carriage returns": ("one\r\ntwo", "one\ntwo"),
    "Cyrillic letters": ("cop", "сор"),
    "composed letters": ("caf\u00e9", "cafe\u0301"),
    "a no-break space": ("a b", "a\u00a0b"),
    "a joiner": ("ab", "a\u200db"),
    "a variation selector": ("\u2764", "\u2764\ufe0f"),
    "l and I": ("Il", "lI"),
    "quotes": ("it's", "it\u2019s"),
    "dashes": ("a-b", "a\u2013b"),
    "nothing and a line": ("", "\n"),
    "the columns of a table": ("|a|b|\n|--|--|\n|1|2|", "|a|b|\n|---|---|\n|1|2|"),
    "autolinks": ("<https://x.example>", "[https://x.example](https://x.example)"),
    "loose and tight": ("- a\n- b", "- a\n\n- b"),
}


@pytest.mark.parametrize("kind", ALIKE)
def test_what_looks_alike_and_is_written_differently_is_marked_on_both_sides(kind):
    left, right = (written(text) for text in ALIKE[kind])
    places = alike_but_different(left, right)
    assert all(places)
    for read, lines in zip((left, right), places, strict=True):
        assert written_html(read, lines).count(OTHERWISE) == len(lines)
    assert alike_but_different(left, left) == (frozenset(), frozenset())


def test_the_mark_stands_where_they_differ_and_nowhere_else():
    left = written("First.\n\n- same\n- [a](https://x.example)\n\nLeft only.")
    right = written("First.\n\n- same\n- [a](https://y.example)\n\nRight says more.")
    assert alike_but_different(left, right) == (frozenset({3}), frozenset({3}))
    shown = written_html(left, {3})
    assert f"a</a>{OTHERWISE}</li>" in shown
    assert shown.count(OTHERWISE) == 1


def test_unlike_texts_have_no_mark():
    left, right = written("Use `kill 1`.\n\nDone."), written("Use `kill 2`.\n\nDone.")
    assert alike_but_different(left, right) == (frozenset(), frozenset())


PARTS = st.sampled_from(
    ["a", "b", " ", "  ", "\n", "\n\n", "- ", "* ", "1. ", "# ", "**", "*", "_", "`", "```\n", "> ", "\\", "&amp;",
     "[a](x)", "[a](y)", "|", "|--|--|\n", "$x$", "\t", "\u200b", "\u200d", "\u00a0", "а", "---\n", "    "]
)  # fmt: skip
TEXTS = st.lists(PARTS, max_size=12).map("".join)


@settings(max_examples=400, deadline=None)
@given(TEXTS, TEXTS)
def test_no_two_texts_that_differ_look_equal_unmarked(left, right):
    if left == right:
        return
    reads = written(left), written(right)
    shown = [written_html(r, ls) for r, ls in zip(reads, alike_but_different(*reads), strict=True)]
    bare = [html.unescape(re.sub(r"<[^>]+>", "", each)) for each in shown]
    assert any(OTHERWISE in each for each in shown) or looks_of(bare[0]) != looks_of(bare[1])


@pytest.mark.parametrize("text", ["> " * 5000 + "x", "[" * 5000, "x" * 100_001, "\u202e" * 100_001])
def test_what_is_too_deep_or_too_long_is_shown_plainly_and_can_be_marked(text):
    read = written(text)
    assert OTHERWISE in written_html(read, {0})
    assert "\u202e" not in written_html(read)
