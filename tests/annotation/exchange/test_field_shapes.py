"""Every shape of the field, by name and by its looks: texts, votes, dates and systems as written by hand."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from annotation.comparisons.models import Judgment, JudgmentValue, Slot
from annotation.comparisons.scale import value_turned
from annotation.exchange.models import ImportJob
from annotation.exchange.reading import SourceRow
from annotation.exchange.records import ImportOptions, ImportRow, Vote
from annotation.exchange.services import import_create, import_run
from annotation.exchange.shapes import ALIASES, SHAPES, shape_named
from annotation.exchange.units import unit_read, units_of
from tests.support.field_shapes import EXAMPLES, Example, Pair, Said

CASES = [(example, name) for example in EXAMPLES for name in ("auto", *example.names)]


def read(rows, named=None):
    found = [SourceRow(n, 0, json.loads(json.dumps(row))) for n, row in enumerate(rows, 1)]
    return [
        (unit, unit_read(unit, split_by=""))
        for unit in units_of(iter(found), shape_named(named) if named else None)
    ]


def expected(pair: Pair) -> tuple:
    turns = [("user", pair.prompt)] if isinstance(pair.prompt, str) else pair.prompt
    return (
        tuple({"role": role, "content": content} for role, content in turns),
        pair.texts,
        tuple(_vote(said) for said in pair.votes),
        pair.id,
    )


def _vote(said: Said) -> Vote:
    return Vote(
        said.rater,
        said.value,
        tuple(sorted(said.criteria.items())),
        said.both_bad,
        said.flags,
        said.rationale,
        said.seconds,
        said.at,
        said.reasons,
    )


def shown(row: ImportRow, asked: Pair) -> tuple:
    external = row.external_id if asked.id else ""
    return row.messages, row.texts, row.votes, external


@pytest.mark.parametrize(
    ("example", "name"),
    CASES,
    ids=[f"{e.names[0]}-{name}-{n}" for n, (e, name) in enumerate(CASES)],
)
def test_a_row_of_the_field_becomes_what_was_written_by_hand(example: Example, name: str) -> None:
    found = read(example.rows, None if name == "auto" else name)
    assert [reading.refused for _, reading in found] == [[] for _ in found]
    assert {unit.shape.key for unit, _ in found if unit.shape} == {example.names[0]}
    rows = [row for _, reading in found for row in reading.rows]
    assert [shown(row, pair) for row, pair in zip(rows, example.pairs, strict=True)] == [
        expected(pair) for pair in example.pairs
    ]
    assert sum(row.lines for row in rows) == len(example.rows)
    assert {name for _, r in found for names in r.unused for name in names} == example.unused


def test_every_shape_and_every_name_has_its_example() -> None:
    named = {name for example in EXAMPLES for name in example.names}
    assert named | {"completions", "pairs", "prompts"} == {*SHAPES, *ALIASES}


def test_all_pairs_of_one_ranking_can_be_told_to_be_of_one_item() -> None:
    ((_, first), (_, second)) = read(
        [
            {"prompt": "Q", "completions": ["a", "b", "c"], "ranks": [1, 2, 3]},
            {"prompt": "Q", "completions": ["a", "b", "d"], "ranks": [1, 2, 3]},
        ]
    )
    items = [{row.external_id for row in reading.rows} for reading in (first, second)]
    assert [len(item) for item in items] == [1, 1]
    assert items[0] != items[1]
    assert [row.lines for row in first.rows] == [1, 0, 0]
    assert not any(row.ordered for row in first.rows)  # places in a ranking must not tell


REFUSED = [
    (
        [{"prompt": "Q", "response": "a", "helpfulness": 1, "correctness": 1, "coherence": 1}],
        "another prompt",
    ),
    ([{"prompt": "Q", "completion": "a", "label": True}], "judges one completion alone"),
    ([{"prompt": "Q", "completion": "a", "label": 3}], "true or false"),
    ([{"prompt": "Q", "completions": ["a", "b"], "ranking": [1, 0]}], "ranking may be"),
    ([{"prompt": "Q", "completions": ["a", "b"], "ranks": [1]}], "has 1 entries for 2"),
    (
        [{"prompt": "Q", "response_a": "x", "response_b": "y", "winner": "neither one"}],
        "name response_a",
    ),
    (
        [{"prompt": "Q", "response_0": "x", "response_1": "y", "better_response_id": 2}],
        "from 0 to 1",
    ),
    ([{"question": "Q", "answer_0": "x", "answer_1": "y", "score_0": 1, "score_1": 1}], "opposite"),
    (
        [
            {
                "context": [{"role": "user", "content": "Q"}],
                "response1": "x",
                "response2": "y",
                "overall_preference": 4,
            }
        ],
        "from -3 to 3",
    ),
    (
        [
            {
                "prompt": "Other?",
                "chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "a"}],
                "rejected": [
                    {"role": "user", "content": "Q"},
                    {"role": "assistant", "content": "b"},
                ],
            }
        ],
        "not the beginning",
    ),
    ([{"chosen": "Yes.", "rejected": "No."}], "no common beginning"),
    (
        [
            {
                "message_tree_id": "t",
                "prompt": {"message_id": "t", "role": "prompter", "text": "Q", "replies": []},
            }
        ],
        "two replies",
    ),
    (
        [
            {
                "message_id": "b",
                "parent_id": "t",
                "text": "x",
                "role": "assistant",
                "message_tree_id": "t",
            }
        ],
        "two replies",
    ),
    (
        [
            {
                "winner": "model_a",
                "conversation_a": [
                    {"role": "user", "content": "Q"},
                    {"role": "assistant", "content": "a"},
                    {"role": "user", "content": "R"},
                    {"role": "assistant", "content": "b"},
                ],
                "conversation_b": [
                    {"role": "user", "content": "Q"},
                    {"role": "assistant", "content": "c"},
                    {"role": "user", "content": "R"},
                    {"role": "assistant", "content": "d"},
                ],
            }
        ],
        "part before their last answer",
    ),
    (
        [
            {
                "kind": "skip",
                "use": "skipped",
                "revision": None,
                "active": None,
                "values": [],
                "completions": [],
                "messages": [],
            }
        ],
        "no judgment",
    ),
    (
        [
            {
                "kind": "judgment",
                "use": "superseded",
                "revision": 1,
                "active": False,
                "values": [],
                "completions": [],
                "messages": [],
            }
        ],
        "The judgment does not count: superseded by a later answer.",
    ),
    (
        [
            {
                "kind": "judgment",
                "use": "history",
                "revision": 1,
                "active": True,
                "values": [],
                "completions": [],
                "messages": [],
            }
        ],
        "use is 'history'; the full export writes one of train, released,",
    ),
    (
        [
            {
                "kind": "judgment",
                "use": "gate",
                "revision": 1,
                "active": True,
                "purpose": "gate",
                "values": [],
                "completions": [],
                "messages": [],
            }
        ],
        "The judgment is of purpose 'gate'; those of purpose training are taken.",
    ),
    (
        [{"prompt": "p", "split": "sealed"}],
        "split is 'sealed'; use train, validation, test, evaluation, or leave it out.",
    ),
    ([{"prompt": "p", "completion": "a", "label": True, "split": 3}], "split is 3"),
]


@pytest.mark.parametrize(("rows", "reason"), REFUSED)
def test_a_row_that_judges_no_two_answers_to_one_prompt_says_so(rows, reason):
    refused = [why for _, reading in read(rows) for _, why in reading.refused]
    assert len(refused) == len(rows)
    assert reason in refused[0]


BARE = [
    {"prompt": "Q", "response_0": "a", "response_1": "b", "safer_response_id": 0},
    {"prompt": "Q", "response": "a", "helpfulness": 3},
    {"prompt": "Q", "completion": "a", "label": True, "extra": 1, "completions": 3},
    {"prompt": "Q", "answer1": "a", "answer2": "b", "comparison": "left"},
    {"prompt": "Q", "response_a": "a", "response_b": "b", "preference": ["response_a"]},
    {"prompt": "Q", "response_a": "a", "response_b": "b", "winner_model_a": 1},
    {"prompt": "Q", "chosen": "a"},
    {"prompt": "Q", "bestAnswer": "a"},
    {"messages": [{"role": "user", "content": "Q"}], "votes": 3},
]


@pytest.mark.parametrize("fields", BARE)
def test_answers_and_judgments_are_never_taken_for_a_bare_prompt(fields):
    ((_, reading),) = read([fields])
    assert (reading.rows, len(reading.refused)) == ([], 1)
    ((_, asked),) = read([fields], "prompts")  # asked for by name they are left out, each named
    assert len(asked.rows) == 1
    assert asked.unused == [set(fields) - {"prompt", "messages"}]


@pytest.mark.django_db
@pytest.mark.parametrize("example", EXAMPLES, ids=[e.names[0] for e in EXAMPLES])
def test_what_was_read_is_what_is_stored(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, example.rows)))
    job = taken(path)
    counts = job.counts
    assert (counts["rows"], counts["rows_rejected"]) == (len(example.rows), 0)
    assert (counts["pairs_new"], counts["votes_new"]) == (
        len(example.pairs),
        sum(len(pair.votes) for pair in example.pairs),
    )
    assert set(counts["unused"]) == example.unused
    wanted = {
        (
            said.rater,
            pair.texts,
            said.value,
            tuple(sorted(said.criteria.items())),
            said.both_bad,
            said.rationale,
            said.reasons,
            said.seconds,
            said.at,
        )
        for pair in example.pairs
        for said in pair.votes
    }
    assert {stored(j, {p.texts for p in example.pairs}) for j in Judgment.objects.all()} == wanted


def taken(path: Path, **options) -> ImportJob:
    job = import_create(line_id=uuid.uuid4(), path=path, options=ImportOptions(**options))
    done = import_run(job_id=job.pk)
    assert done is not None
    assert done.state == "done", done.error
    return done


def stored(judgment: Judgment, orders: set[tuple[str, str]]) -> tuple:
    """What a stored judgment says, turned from its slots to the order of the example's texts."""
    comparison = judgment.assignment.comparison
    slots = Slot.objects.filter(comparison=comparison).order_by("position")
    texts = tuple(slots.values_list("completion__text", flat=True))
    values = dict(
        JudgmentValue.objects.filter(judgment=judgment).values_list("criterion__key", "value")
    )
    straight = texts in orders
    turned = {
        key: value_turned(value, [1, 2] if straight else [2, 1]) for key, value in values.items()
    }
    overall = turned.pop("overall")
    dated = judgment.created_at if judgment.created_at.year == 2023 else None
    return (
        judgment.rater.external_id,
        texts if straight else texts[::-1],
        overall,
        tuple(sorted(turned.items())),
        judgment.both_bad,
        judgment.rationale,
        tuple(judgment.reasons),
        judgment.seconds,
        dated,
    )
