"""The report as a PDF: read again by a program that knows nothing of how it was made."""

from __future__ import annotations

import io
import re
from typing import cast
from uuid import UUID

import plutoprint
import pytest
from django.test import Client
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from evaluation.contracts import RoundRecord
from evaluation.reports.pdf import FONTS, OwnFonts
from evaluation.reports.services import report_store
from tests.evaluation.reports import records
from tests.support.people import person_create

pytestmark = pytest.mark.django_db

A4 = (595, 842)  # points


@pytest.fixture
def lead() -> Client:
    client = Client()
    client.force_login(
        person_create("lead", "lead", line=UUID(records.LINE)),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


def read(lead: Client, number: int) -> PdfReader:
    answer = lead.get(f"/lines/help-desk/rounds/{number}/report.pdf")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/pdf"
    assert f'filename="help-desk-round-{number}.pdf"' in answer.headers["Content-Disposition"]
    return PdfReader(io.BytesIO(answer.content))


def words(document: PdfReader) -> str:
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in document.pages))


@pytest.mark.parametrize("record", [records.PROMOTED, records.REJECTED, records.BARE])
def test_a_report_is_pages_of_paper_with_the_verdict_first(
    lead: Client, record: RoundRecord
) -> None:
    report_store(record=record)
    document = read(lead, record.number)
    assert {tuple(round(n) for n in page.mediabox[2:]) for page in document.pages} == {A4}
    first = document.pages[0].extract_text()
    assert f"Round {record.number}" in first
    assert (record.gate.verdict if record.gate else "NOT DECIDED") in first
    assert document.metadata is not None
    name = record.line_name or record.line
    assert document.metadata.title == f"{name}, round {record.number} · Outerloop"


def test_what_the_page_says_is_on_paper_too(lead: Client) -> None:
    report_store(record=records.PROMOTED)
    document = read(lead, 7)
    said = words(document)
    assert records.PROMOTED.gate is not None
    for check in records.PROMOTED.gate.checks:
        assert check.id in said
        assert check.name in said
    for heading in ("The three links that can break", "Limits", "Appendix", "Measurements"):
        assert heading in said


def test_letters_come_from_the_fonts_of_the_installation(lead: Client) -> None:
    report_store(record=records.PROMOTED)
    used: set[str] = set()
    for page in read(lead, 7).pages:
        fonts = cast(DictionaryObject, cast(DictionaryObject, page["/Resources"])["/Font"])
        used |= {str(font.get_object()["/BaseFont"]) for font in fonts.values()}
    assert used
    assert all("SourceSansPro" in name for name in used), used


@pytest.mark.parametrize("url", ["https://example.org/x.png", "file:///etc/passwd", "font:other"])
def test_nothing_is_loaded_from_elsewhere(url: str) -> None:
    with pytest.raises(ValueError, match="loads nothing from outside"):
        OwnFonts().fetch_url(url)


def test_every_font_is_there() -> None:
    for url in FONTS:
        assert isinstance(OwnFonts().fetch_url(url), plutoprint.ResourceData)
