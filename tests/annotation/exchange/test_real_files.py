"""The real crowd votes and transcripts, against counts made independently of the importer."""

from __future__ import annotations

import gzip
import json
import os
import re
import uuid
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from django.db.models import Count

from annotation import facade
from annotation.accounts.models import Rater
from annotation.comparisons.models import Assignment, Comparison, Judgment, JudgmentValue, Prompt
from annotation.contracts import SnapshotRecipe
from annotation.exchange.selectors import rejections_of
from annotation.exchange.services import import_create, import_run
from annotation.quality.selectors import agreement_of

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("OUTERLOOP_SHARED_DATA", ROOT.parent / "shared" / "data"))

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


def real(name: str) -> tuple[Path, list[dict]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there; set OUTERLOOP_SHARED_DATA to the folder that holds it.")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return path, [json.loads(line) for line in file]


def test_every_vote_on_convincing_arguments_goes_in():
    path, rows = real("convincing_arguments.jsonl.gz")
    line = uuid.uuid4()
    job = import_run(job_id=import_create(line_id=line, path=path).pk)
    assert job is not None
    assert job.state == "done", job.error

    # Counted from the file alone: pairs are sets of two texts under one stance.
    directions: dict[tuple, list[tuple]] = defaultdict(list)
    last_votes: dict[tuple, str] = {}
    for row in rows:
        pair = (row["debate_title"], row["stance"], frozenset((row["a1"], row["a2"])))
        directions[pair].append((row["a1"], row["a2"]))
        winner = {"a1": row["a1"], "a2": row["a2"], "equal": None}
        for vote in row["votes"]:
            last_votes[pair, vote["worker"]] = winner[vote["value"]]
    votes = sum(len(row["votes"]) for row in rows)
    reversed_rows = sum(
        (second, first) == shown[0]
        for shown in directions.values()
        for first, second in shown[1:]
        if first != second
    )
    assert (len(rows), votes, len(directions)) == (12_462, 62_166, 12_305)
    assert (votes - len(last_votes), reversed_rows) == (74, 89)

    counts = job.counts
    assert (counts["rows"], counts["rows_rejected"]) == (12_462, 0)
    assert (counts["votes_new"], counts["votes_revised"], counts["votes_known"]) == (62_166, 74, 0)
    assert (counts["pairs_new"], counts["pairs_reversed"], counts["pairs_repeated"]) == (
        12_305,
        89,
        68,
    )
    assert counts["pairs_of_one_text"] == sum(row["a1"] == row["a2"] for row in rows) == 5
    assert counts["raters_new"] == Rater.objects.count() == 3_759
    assert Comparison.objects.count() == 12_305
    assert Assignment.objects.count() == len(last_votes) == 62_092
    assert Judgment.objects.filter(active=True).count() == 62_092
    assert Judgment.objects.filter(active=False).count() == 74
    assert JudgmentValue.objects.count() == 62_166

    _assert_same_opinions(last_votes, line)
    _assert_topics_held_together(rows)
    _assert_agreement(last_votes, line)


def _assert_same_opinions(last_votes, line):
    """Each rater's last word on each pair, by the winning text, is what the stream gives out."""
    names = dict(Rater.objects.values_list("pseudonym", "external_id"))
    expected = Counter(
        (worker, frozenset(pair[2]), winner)
        for (pair, worker), winner in last_votes.items()
        if len(pair[2]) == 2
    )
    streamed: Counter = Counter()
    for row in facade.preferences_stream(line_id=line, recipe=SnapshotRecipe()):
        first, second = row.completions
        winner = {1.0: first, 0.0: second, 0.5: None}[row.preference]
        streamed[names[row.rater], frozenset((first, second)), winner] += 1
    assert streamed == expected


def _assert_topics_held_together(rows):
    prompts = Prompt.objects.all()
    assert prompts.count() == len({(r["debate_title"], r["stance"]) for r in rows}) == 24
    splits = defaultdict(set)
    for prompt in prompts:
        title = prompt.messages[0]["content"].split("\n\nArgue for:")[0]
        splits[title].add(prompt.split)
    assert len(splits) == len({r["debate_title"] for r in rows}) == 16
    assert all(len(found) == 1 for found in splits.values())
    assert set.union(*splits.values()) == {"train", "validation", "test"}


def _assert_agreement(last_votes, line):
    """Raw agreement of decided votes on two different texts, once more from the file."""
    by_pair: dict[tuple, Counter] = defaultdict(Counter)
    for (pair, _), winner in last_votes.items():
        if winner is not None and len(pair[2]) == 2:
            by_pair[pair][winner] += 1
    agreeing = sum(n * (n - 1) // 2 for votes in by_pair.values() for n in votes.values())
    pairs = sum(votes.total() * (votes.total() - 1) // 2 for votes in by_pair.values())
    texts = Comparison.objects.annotate(n=Count("slots__completion", distinct=True))
    of_two_texts = set(texts.filter(n=2).values_list("pk", flat=True))
    votes = facade.overlap_votes(line_id=line)
    found = agreement_of(vote for vote in votes if vote.comparison_id in of_two_texts)
    assert (found.agreeing, found.pairs) == (agreeing, pairs)


TURN = re.compile(r"\n\n(Human|Assistant):")
EMPTY_TURN = re.compile(r"(?:Human|Assistant):\s*(?:\n\n(?:Human|Assistant):|$)")


def _one_answer_each(row: dict) -> bool:
    """Whether both transcripts take turns, say something each time and differ in the last only."""
    for text in (row["chosen"], row["rejected"]):
        speakers = TURN.findall(text)
        if speakers != ["Human", "Assistant"] * (len(speakers) // 2) or EMPTY_TURN.search(text):
            return False
    before: list[str] = [
        row[key].rpartition("\n\nAssistant:")[0].strip() for key in ("chosen", "rejected")
    ]
    return before[0] == before[1]


def test_the_transcripts_go_in_but_for_those_that_do_not_part_at_one_answer():
    path, rows = real("hh_harmless.jsonl.gz")
    job = import_run(job_id=import_create(line_id=uuid.uuid4(), path=path).pk)
    assert job is not None
    assert job.state == "done", job.error
    bad = [number for number, row in enumerate(rows, 1) if not _one_answer_each(row)]
    assert len(bad) == 8
    assert [r.line_number for r in rejections_of(job_id=job.pk)] == bad
    counts = job.counts
    assert (counts["rows"], counts["rows_rejected"]) == (1_541, 8)
    assert (counts["pairs_new"], counts["votes_new"], counts["prompts_new"]) == (
        1_533,
        1_533,
        1_532,
    )
