"""The worst workers of the crowd votes, left out on the pages as a lead would, and what that changed.

The worst are those of the lowest reliability in the quality page's own table, of people with enough labels to tell.
What the pages say before and after is held against the `krippendorff` package on the votes of the file.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import krippendorff
import numpy as np
from playwright.sync_api import Page, expect

from annotation import facade
from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.contracts import SnapshotRecipe
from annotation.quality.answers import answer_arrays
from annotation.quality.measures import agreement, reliabilities
from annotation.statistics.reliability import reliability_fit
from tests.support.crowd_votes import Ballots, Row, ballots
from tests.support.given import given

WORST, FEWEST = 3, 30


@dataclass(frozen=True)
class Worker:
    """As the table of the quality page has them."""

    name: str
    labels: int
    reliability: float


@dataclass(frozen=True)
class Against:
    """The file's aggregated choice: of how many pairs there is one, and the shares of them on which the votes
    agree with it, counted and weighed by reliability."""

    pairs: int
    by_count: float
    by_reliability: float


@dataclass(frozen=True)
class Figures:
    """Of a campaign at one moment; `package` are alphas of the package on the file's votes that count."""

    labels: int
    people: int
    alpha_side: tuple[float, float, float]
    alpha_steps: tuple[float, float, float]
    same_side: tuple[float, float, float]
    package: tuple[float, float]
    median_reliability: float
    gold: Against


def figures(campaign: Campaign, rows: Sequence[Row], out: Collection[str]) -> Figures:
    """What product and file say once the workers `out` are left out."""
    answers = answer_arrays(campaign=campaign)
    found, fitted = agreement(answers), reliabilities(answers)
    votes = ballots(without(rows, out))
    shares = [each.value for each in fitted if each is not None]
    plain = (found.alpha_side, found.alpha_steps, found.share)
    side, steps, same = ((e.value, e.low, e.high) for e in map(given, plain))
    matrix = votes.matrix()
    nominal, ordinal = (
        float(krippendorff.alpha(matrix, level_of_measurement=level))
        for level in ("nominal", "ordinal")
    )
    stream = facade.preferences_stream(line_id=campaign.line, recipe=SnapshotRecipe())
    return Figures(
        labels=sum(1 for _ in stream),
        people=int((~answers.out).sum()),
        alpha_side=side,
        alpha_steps=steps,
        same_side=same,
        package=(nominal, ordinal),
        median_reliability=float(np.median(shares)),
        gold=against_gold(votes),
    )


def without(rows: Sequence[Row], out: Collection[str]) -> list[Row]:
    """The rows of two texts, with the votes of everybody else."""
    return [
        row | {"votes": [vote for vote in row["votes"] if vote["worker"] not in out]}
        for row in rows
        if row["a1"] != row["a2"]
    ]


def against_gold(votes: Ballots) -> Against:
    """On the pairs that still have a vote."""
    voted, pair = np.unique(votes.pair, return_inverse=True)
    gold = votes.gold[voted]
    known = gold >= 0
    fit = reliability_fit(pair, votes.rater, votes.answer, np.zeros_like(pair))
    lead = np.bincount(pair, weights=votes.answer - 1)
    counted = np.where(lead == 0, 0.5, np.sign(lead) + 1 == gold)[known].mean()
    weighed = (2 * (fit.second > 0.5) == gold)[known].mean()
    return Against(int(known.sum()), float(counted), float(weighed))


def worst_workers(page: Page, campaign: Campaign, folder: Path) -> list[Worker]:
    """From the table that the quality page hands out."""
    page.goto(f"/campaigns/{campaign.pk}/quality/")
    with page.expect_download() as download:
        page.get_by_role("link", name="All people as CSV").click()
    path = folder / "people.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8", newline="") as file:
        people = [row for row in csv.DictReader(file) if row["excluded"] == "no"]
    found = [
        Worker(row["person"], int(row["labels"]), float(row["reliability"]))
        for row in people
        if row["reliability"] and int(row["labels"]) >= FEWEST
    ]
    return sorted(found, key=lambda worker: worker.reliability)[:WORST]


def leave_out(page: Page, campaign: Campaign, worker: Worker) -> tuple[int, int]:
    """By search and buttons, from the quality page; labels for the next snapshot before and after, as the
    preview tells them."""
    page.goto(f"/campaigns/{campaign.pk}/quality/")
    page.get_by_label("Name contains").fill(worker.name)
    page.get_by_role("button", name="Show").click()
    page.get_by_role("link", name=worker.name, exact=True).click()
    page.get_by_role("link", name="Leave answers out").click()
    page.get_by_label("Reason").fill("Among the three of the lowest reliability.")
    page.get_by_role("button", name="See what it changes").click()
    cells = page.get_by_role("row", name="Labels for the next snapshot").get_by_role("cell")
    before, after = (int(text.replace(",", "")) for text in cells.all_inner_texts())
    page.get_by_role("button", name="Leave them out").click()
    page.get_by_role("dialog").get_by_role("button", name="Leave them out").click()
    expect(page.get_by_text(f"Left out: answers of {worker.name}")).to_be_visible()
    return before, after


def page_says(page: Page, campaign: Campaign) -> dict[str, str]:
    """Each figure of agreement as the page writes it, by its name."""
    page.goto(f"/campaigns/{campaign.pk}/quality/")
    rows = page.get_by_role("region", name="Agreement between people").locator("tbody tr")
    return {
        row.get_by_role("rowheader").inner_text(): row.get_by_role("cell").first.inner_text()
        for row in rows.all()
    }


def says(figure: tuple[float, float, float]) -> str:
    """A coefficient as the page writes it."""
    return "{:.2f} ({:.2f} to {:.2f})".format(*figure)


def file_names(workers: Sequence[Worker]) -> set[str]:
    """What the file calls them."""
    raters = Rater.objects.filter(pseudonym__in=[worker.name for worker in workers])
    return set(raters.values_list("external_id", flat=True))
