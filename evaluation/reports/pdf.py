"""The report as a PDF: the one-file HTML, laid out on A4 pages by plutoprint.

It loads nothing but the fonts that come with the installation, so that a page looks the same wherever it is
made; letters that these lack (Chinese, Arabic and others) come from the machine's own fonts where it has them.
"""

from __future__ import annotations

import io
from pathlib import Path

import plutoprint
from font_source_sans_pro import font_files_ttf

from evaluation.reports.exporting import export_html
from evaluation.reports.pages import ReportPage

STYLESHEET = "reports/pdf.css"
FONTS = {
    f"font:{name}": Path(font_files_ttf[f"SourceSansPro{file}"])
    for name, file in (("regular", ""), ("bold", "Bold"), ("italic", "It"))
}


LINKED = ("↔", "–")  # no letter of these fonts


class OwnFonts(plutoprint.ResourceFetcher):
    """Hands out the installation's fonts, and reaches no address and no other file."""

    def fetch_url(self, url: str) -> plutoprint.ResourceData:
        if url not in FONTS:
            raise ValueError(f"A report loads nothing from outside, but asks for {url!r}.")
        return plutoprint.ResourceData(FONTS[url].read_bytes(), mime_type="font/ttf")


def export_pdf(page: ReportPage) -> bytes:
    """The whole document on A4 pages."""
    book = plutoprint.Book(
        size=plutoprint.PAGE_SIZE_A4,
        margins=plutoprint.PAGE_MARGINS_NONE,  # the stylesheets say them
        media=plutoprint.MEDIA_TYPE_PRINT,
    )
    book.custom_resource_fetcher = OwnFonts()
    book.load_html(export_html(page, STYLESHEET).replace(*LINKED))
    stream = io.BytesIO()
    book.write_to_pdf_stream(stream)
    return stream.getvalue()
