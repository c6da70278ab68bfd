"""One self-contained HTML file: the report with both stylesheets inside and no address at all."""

from __future__ import annotations

from pathlib import Path

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from evaluation.reports.pages import ReportPage

STYLESHEETS = ("web/outerloop.css", "reports/report.css")


def export_html(page: ReportPage, *more: str) -> str:
    """The whole document; it opens from disk, prints, and loads nothing. `more` are stylesheets beyond the
    page's own."""
    css = "\n".join(_stylesheet(name) for name in (*STYLESHEETS, *more))
    # Our own files; a reply's text never gets in here.
    context = {"page": page, "css": mark_safe(css)}  # noqa: S308
    return render_to_string("reports/export.html", context)


def _stylesheet(name: str) -> str:
    found = finders.find(name)
    if not isinstance(found, str):
        raise FileNotFoundError(f"the stylesheet {name} is not among the static files.")
    return Path(found).read_text(encoding="utf-8")
