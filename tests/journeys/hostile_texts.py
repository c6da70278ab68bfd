"""Texts that a model could write, by accident or for somebody, to act on the page that shows them."""

from __future__ import annotations

RUNS = "window.ran = true"

# Each must be readable as it is: none is an element, a handler or a link that runs.
MARKUP = (
    f"<script>{RUNS}</script>",
    f'<img src=x onerror="{RUNS}">',
    f'<svg onload="{RUNS}"><script>{RUNS}</script></svg>',
    f'<a href="javascript:{RUNS}">click</a>',
    f'<iframe srcdoc="<script>parent.{RUNS}</script>"></iframe>',
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUNS}>",
    f'<details open ontoggle="{RUNS}"><summary>x</summary></details>',
    '<form action="https://evil.example/"><button>Send</button></form>',
    '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
    '<link rel="stylesheet" href="https://evil.example/x.css">',
    "<base href=https://evil.example/>",
    '<div style="position:fixed;inset:0">over everything</div>',
    "{{ settings.SECRET_KEY }} {% load static %}",
)
LINKS = (
    f"[click](javascript:{RUNS.replace(' ', '')})",
    "[click](JaVaScRiPt&colon;window.ran=1)",
    "[click](data:text/html;base64,PHNjcmlwdD5wYXJlbnQucmFuPTE8L3NjcmlwdD4=)",
    "[click](vbscript:msgbox)",
    "![pixel](https://tracker.example/pixel.png)",
)
BROKEN = (
    "```python\nprint('<b>never closed",
    "| a | b\n|--",
    "$\\frac{",
    "$$\\href{javascript:window.ran=1}{x}$$",
    "[x](",
    "<!-- never closed",
    "&#60;script&#62;window.ran=1&#60;/script&#62;",
    "</textarea></script></title></style>",
)
DEEP = ("> " * 2000 + "deep", "[" * 5000, "*" * 5000, "- " * 2000 + "x", "(" * 5000, "`" * 4999)
TURNED = "the file is called \u202egpj.exe\u202c and \u2066isolated\u2069"
HUGE = "A long answer with <b>markup</b>. " * 31_000  # a little over 1 MB

EVERYTHING = "\n\n".join((*MARKUP, *LINKS, TURNED))
BROKEN_AND_DEEP = "\n\n".join((TURNED, *DEEP, *BROKEN))
