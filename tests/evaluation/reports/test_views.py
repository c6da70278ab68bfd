"""The pages of reports: what they say, to whom, and that nothing in them can act."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from django.test import Client

from evaluation.contracts import LineageItem, RoundRecord, WeakerSetting
from evaluation.reports.services import report_store
from tests.evaluation.reports import records
from tests.support import registry
from tests.support.people import person_create
from training.contracts import json_sha256
from web.registry import ReportCard

pytestmark = pytest.mark.django_db

REPORT = "/lines/help-desk/rounds/{}/report/"
LINE = UUID(records.LINE)
OTHER_LINE = UUID("33333333-3333-4333-8333-333333333333")


def client_of(role: str, line: UUID | None = LINE) -> Client:
    user = get_user_model().objects.create_user(f"{role}-{line}", f"{role}@{line}.example", "pw")
    user.memberships.create(role=role, line=line)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def lead() -> Client:
    return client_of("lead")


def words_of(html: str) -> str:
    """The text of a page without markup, each stretch of white space as one space."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    text = re.sub(r"<[^>]*>", " ", text)
    for entity, sign in (
        ("&#x27;", "'"),
        ("&quot;", '"'),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ):
        text = text.replace(entity, sign)
    return re.sub(r"\s+", " ", text)


def page_of(client: Client, record: RoundRecord) -> str:
    report_store(record=record)
    response = client.get(REPORT.format(record.number))
    assert response.status_code == 200
    return response.content.decode()


@pytest.mark.parametrize("role", ["engineer", "lead"])
@pytest.mark.parametrize("line", [LINE, None])
def test_engineers_and_leads_of_the_line_read_reports(role: str, line: UUID | None) -> None:
    assert "Help desk, round 7: report" in words_of(
        page_of(client_of(role, line), records.PROMOTED)
    )


def test_the_card_says_when_it_was_decided_and_by_which_gate_policy(lead: Client) -> None:
    decided = replace(
        records.PROMOTED, decided_at="2026-11-21T04:30:00+00:00", gate_policy_version=3
    )
    says = "21 Nov 2026, 04:30 UTC, by version 3 of the gate policy"
    assert f"Decided {says}" in words_of(page_of(lead, decided))


@pytest.mark.parametrize(
    ("role", "line"),
    [("annotator", LINE), ("adjudicator", None), ("lead", OTHER_LINE)],
)
@pytest.mark.parametrize(
    "address",
    [
        REPORT.format(7),
        "/lines/help-desk/rounds/7/report.json",
        "/lines/help-desk/rounds/7/report.html",
        "/lines/help-desk/rounds/7/report.pdf",
        "/lines/help-desk/reports/",
    ],
)
def test_annotators_and_outsiders_stay_blind(role: str, line: UUID | None, address: str) -> None:
    report_store(record=records.PROMOTED)
    assert client_of(role, line).get(address).status_code == 403


def test_strangers_are_sent_to_sign_in() -> None:
    response = Client().get(REPORT.format(7))
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/accounts/login/")


def test_a_round_without_a_report_is_not_found(lead: Client) -> None:
    report_store(record=records.PROMOTED)
    assert lead.get(REPORT.format(99)).status_code == 404


def test_a_promotion_reads_in_a_minute(lead: Client) -> None:
    words = words_of(page_of(lead, records.PROMOTED))
    for fact in (
        "PROMOTE",
        "Since then v7 deployed 21 Nov 2026, 02:10 UTC by the schedule",
        "Better than v6 for people: 58% (54% to 62%), 612 labels from 14 annotators.",
        "No guardrail failed. 1 advisory: Replies are less varied than the incumbent's (0.74 of it).",
        "Ada approved the deployment, 21 Nov 2026, 02:05 UTC.",
        "6.00 (5.50 to 6.50) nats · at most 10 nats",
        "sees a gain of 1.00 z; one that the training never saw sees 0.80 z, 80% of it "
        "(at most 0.78 z could be expected) at 6.0 nats",
        "agrees with 66% (62% to 70%) of held-out labels; a length-only model with 52%",
        "300 wins, 110 ties and 202 losses in 612 labels",
        "The best win",
        "The worst loss",
        "PPO › KL › beta 0.10 0.07",
        "Evidence 131 (",
        "rater-00 320 71% (66% to 76%)",
        "English only.",
    ):
        assert fact in words, fact
    assert "imulated" not in words


def test_a_refusal_names_its_reasons_and_shows_the_truth_as_such(lead: Client) -> None:
    words = words_of(page_of(lead, records.REJECTED))
    for fact in (
        "Simulated world.",
        "Worse than v6 for simulated annotators: 31% (24% to 38%)",
        "G4 KL budget: The candidate is beyond the budget of 10.0 nats.",
        "What is believed, and what is true simulated world",
        "No decision reads the truth.",
        "Wins against the incumbent 31% (24% to 38%) 27% (22% to 32%)",
        "Gain over the incumbent, each on its own scale 0.12 (0.05 to 0.19) z by the held-out reward model"
        " -0.40 (-0.50 to -0.30) points of gold",
        "this report says nothing about real people",
        "Over the last 4 steps before the candidate the training reward rose each time while the "
        "held-out reward fell.",
        "Over 15 checkpoints up to the candidate the training reward went from",
    ):
        assert fact in words, fact


def test_an_open_round_says_what_is_wanted_next(lead: Client) -> None:
    words = words_of(page_of(lead, records.INCONCLUSIVE))
    assert "INCONCLUSIVE" in words
    assert "Since then awaiting labels" in words
    assert "Wanted next Labels: up to 940 more labels" in words


def test_a_weaker_policy_is_told_with_what_is_weaker_and_who_let_it_be_so(lead: Client) -> None:
    ada, bo = person_create("ada", "lead"), person_create("bo", "lead")
    at = "2026-11-21T02:10:00+00:00"
    both = (str(ada.pk), str(bo.pk), "Mistakes are cheap here.")
    weaker = (
        WeakerSetting("G4 KL budget: off (instead of required).", 2, at, *both),
        WeakerSetting("G11 Diversity: only warns (instead of required).", 1, at, "ada", "", ""),
        WeakerSetting("G10 Length: off (instead of required).", 2, at, *both),
    )
    words = words_of(page_of(lead, replace(records.PROMOTED, weaker=weaker)))
    said = "Judged under a gate policy that is weaker than the default."
    assert words.count(said) == 2  # one line for each version that made it so
    assert (
        f"{said} G4 KL budget: off (instead of required). G10 Length: off (instead of required)."
        " ada and bo let it be so in version 2, 21 Nov 2026, 02:10 UTC: Mistakes are cheap here."
    ) in words
    assert "ada alone let it be so in version 1, 21 Nov 2026, 02:10 UTC." in words
    assert said not in words_of(page_of(lead, records.OVERRIDDEN))


def test_a_check_of_an_earlier_release_is_shown_as_it_was_recorded(lead: Client) -> None:
    gate = records.PROMOTED.gate
    assert gate is not None
    told: dict[str, Any] = {"sentence": "It still agrees.", "thresholds": {"accuracy": 0.61}}
    checks = tuple(replace(c, **told) if c.id == "G5" else c for c in gate.checks)
    words = words_of(page_of(lead, replace(records.PROMOTED, gate=replace(gate, checks=checks))))
    assert "It still agrees." in words
    assert "at least 61%" in words


def test_an_override_is_told_with_names_reason_and_outcome(lead: Client) -> None:
    words = words_of(page_of(lead, records.OVERRIDDEN))
    assert (
        "G11 was let through by Ada and Grace, until 28 Nov 2026, 00:00 UTC: Short answers" in words
    )
    assert "In the next round: won 52% against v5" in words
    assert "Let through" in words


def test_a_round_that_measured_nothing_says_so_everywhere(lead: Client) -> None:
    words = words_of(page_of(lead, records.BARE))
    for fact in (
        "NOT DECIDED",
        "Since then the round stopped with an error",
        "No people have compared it with the incumbent yet.",
        "The gate has not decided yet: the candidate is still being trained or measured.",
        "No policy was trained in this round, so there is no curve.",
        "No samples were kept",
        "Nothing was trained in this round, so there are no curves.",
        "Training reward and held-out reward were not measured together at two checkpoints",
        "The round has no snapshot of labels yet.",
        "No setting differs from the round before",
    ):
        assert fact in words, fact


class Elements(HTMLParser):
    """Every element with its attributes, as a browser would meet them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("record", [records.PROMOTED, records.REJECTED])
def test_what_a_model_wrote_is_text_and_never_markup(lead: Client, record: RoundRecord) -> None:
    html = page_of(lead, record)
    elements = Elements(html).found
    assert not [tag for tag, given in elements if tag == "img" or "onerror" in given]
    assert [given.get("src") for tag, given in elements if tag == "script"].count(None) == 0
    assert records.HOSTILE in words_of(html)


def test_the_page_needs_nothing_that_the_security_policy_forbids(lead: Client) -> None:
    report_store(record=records.REJECTED)
    response = lead.get(REPORT.format(8))
    assert "style-src 'self'" in response.headers["Content-Security-Policy"]
    for tag, given in Elements(response.content.decode()).found:
        assert tag != "style"
        assert not [name for name in given if name == "style" or name.startswith("on")]


def test_long_ids_are_shortened_with_the_whole_to_copy(lead: Client) -> None:
    item = LineageItem("snapshot", "snapshot", "a" * 64, records.LINE)
    html = page_of(lead, replace(records.PROMOTED, lineage=(item,)))
    row = html[html.index('id="lineage"') :]
    assert f'data-copy="{records.LINE}"' in row
    assert f'data-copy="{"a" * 64}"' in row
    assert "11111111-1111" not in words_of(row)


def test_a_warning_of_simulation_is_given_once(lead: Client) -> None:
    said = "The annotators of this line are simulated: programs, not people."
    words = words_of(page_of(lead, replace(records.REJECTED, limits=(said,))))
    assert said in words
    assert "this report says nothing about real people" not in words


def test_neighbouring_reports_are_one_click_away(lead: Client) -> None:
    report_store(record=records.OVERRIDDEN)
    report_store(record=records.REJECTED)
    html = page_of(lead, records.PROMOTED)
    assert f'href="{REPORT.format(6)}"' in html
    assert f'href="{REPORT.format(8)}"' in html


def test_json_is_the_record_with_its_digest(lead: Client) -> None:
    stored = report_store(record=records.REJECTED)
    response = lead.get("/lines/help-desk/rounds/8/report.json")
    document = json.loads(response.content)
    assert RoundRecord.from_json(document) == records.REJECTED
    assert json_sha256(document) == stored.sha256
    assert response.headers["ETag"] == f'"{stored.sha256}"'


@pytest.mark.parametrize("record", [records.PROMOTED, records.REJECTED, records.BARE])
def test_the_exported_file_stands_alone(lead: Client, record: RoundRecord) -> None:
    report_store(record=record)
    response = lead.get(f"/lines/help-desk/rounds/{record.number}/report.html")
    html = response.content.decode()
    expected = f'attachment; filename="help-desk-round-{record.number}.html"'
    assert response.headers["Content-Disposition"] == expected
    elements = Elements(html).found
    assert not {tag for tag, _ in elements} & {
        "script",
        "link",
        "img",
        "a",
        "form",
        "button",
        "iframe",
    }
    assert not [given for _, given in elements if "src" in given or "href" in given]
    styles = re.findall(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    assert len(styles) == 1
    assert not re.search(r"@import|url\(", styles[0])
    assert "--plot-train" in styles[0]
    assert "--paper" in styles[0]


def test_the_exported_file_prints_whole_hashes(lead: Client) -> None:
    report_store(record=records.PROMOTED)
    html = lead.get("/lines/help-desk/rounds/7/report.html").content.decode()
    assert "c" * 64 in words_of(html)


def test_history_shows_one_row_a_round_newest_first(lead: Client) -> None:
    report_store(record=records.LONG)
    html = lead.get("/lines/help-desk/reports/").content.decode()
    body = words_of(html[html.index("<tbody>") :])
    assert re.findall(r"Round (\d+) ", body) == [str(n) for n in range(50, 0, -1)]
    assert "50 rounds: 25 promoted, 13 rejected, 12 inconclusive" in words_of(html)
    assert f'href="{REPORT.format(50)}"' in html
    assert f'href="{REPORT.format(49)}"' not in html  # it has no report
    assert "no labels" in body
    assert "Rating by round" in words_of(html)


def test_history_of_a_simulated_line_says_so_and_shows_the_truth(lead: Client) -> None:
    report_store(record=records.REJECTED)
    words = words_of(lead.get("/lines/help-desk/reports/").content.decode())
    assert "Every label on this page comes from simulated annotators" in words
    assert "55% (51% to 59%)" in words


def test_history_tells_how_often_checks_were_let_through(lead: Client) -> None:
    report_store(record=records.OVERRIDDEN)
    report_store(record=records.PROMOTED)
    words = words_of(lead.get("/lines/help-desk/reports/").content.decode())
    assert "Checks were let through by two leads in 1 of 7." in words


def test_an_empty_history_says_when_the_first_report_comes(lead: Client) -> None:
    words = words_of(lead.get("/lines/new-line/reports/").content.decode())
    assert "No round of this line has a report yet" in words


def test_a_history_without_a_decided_round_says_so_too(lead: Client) -> None:
    report_store(record=records.BARE)
    words = words_of(lead.get("/lines/help-desk/reports/").content.decode())
    assert "No round of this line has a report yet" in words


def test_a_report_names_its_line_in_the_heading(lead: Client) -> None:
    report_store(record=records.PROMOTED)
    page = lead.get(REPORT.format(7)).content.decode()
    assert "Help desk, round 7: report" in page.partition("<h1")[2].partition("</h1>")[0]


def test_a_line_that_was_renamed_keeps_its_reports(lead: Client) -> None:
    report_store(record=records.PROMOTED)
    report_store(record=replace(records.REJECTED, line="service-desk"))
    assert lead.get("/lines/service-desk/rounds/7/report/").status_code == 200


def test_further_samples_wait_behind_one_click(lead: Client) -> None:
    best = records.SAMPLES[0]
    html = page_of(lead, replace(records.PROMOTED, samples=(best, *records.SAMPLES, best)))
    first, more = html.split('<details class="more-samples folds__part">')
    assert words_of(first).count("The best win") == 1
    assert "2 more pairs" in words_of(more)
    assert words_of(more).count("A further win") == 2


def test_the_rounds_fill_the_place_where_a_lead_acts(
    lead: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(request: HttpRequest, round_id: UUID) -> dict[str, str] | None:
        return (
            {"says": f"Your turn: {round_id}"}
            if str(round_id) == records.PROMOTED.round_id
            else None
        )

    registry.only(monkeypatch, ReportCard)
    assert "Your turn" not in page_of(lead, records.PROMOTED)
    registry.only(monkeypatch, ReportCard, ReportCard("test", "web/parts/empty.html", read))
    assert f"Your turn: {records.PROMOTED.round_id}" in page_of(lead, records.PROMOTED)
    assert "Your turn" not in page_of(lead, records.REJECTED)
    exported = lead.get("/lines/help-desk/rounds/7/report.html").content.decode()
    assert "Your turn" not in exported


def test_history_rates_candidates_by_whom_they_met(lead: Client) -> None:
    unrated = tuple(replace(s, rating=None) for s in records.history(9))
    report_store(record=replace(records.PROMOTED, history=unrated[:7]))
    report_store(
        record=replace(
            records.INCONCLUSIVE, incumbent_version="v7", candidate_version="v9", history=unrated
        )
    )
    words = words_of(lead.get("/lines/help-desk/reports/").content.decode())
    assert "Rating by round 2 rounds; the candidate of round 9 is rated" in words
