"""Every judgment and every skip of a line as one row with all that is known of it.

`COLUMNS` is the shape of a row, the same in every container; docs/how-to/import-and-export.md says what
each column means. Raters appear under their pseudonyms alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast

from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons.exclusions import left_out
from annotation.comparisons.many import these
from annotation.comparisons.models import (
    Assignment,
    AssignmentState,
    Judgment,
    JudgmentValue,
    Prompt,
    Slot,
)
from annotation.comparisons.uses import LEARNED_FROM, label_use

CHUNK = 2000
Row = dict[str, Any]

# Column -> its kind, which a container turns into a type of its own (`containers`).
COLUMNS: Mapping[str, str] = {
    "id": "text",
    "kind": "text",
    "use": "text",
    "revision": "integer",
    "active": "flag",
    "withdrawn": "flag",
    "surplus": "flag",
    "campaign": "text",
    "campaign_name": "text",
    "purpose": "text",
    "split": "text",
    "rater": "text",
    "rater_source": "text",
    "simulated": "flag",
    "excluded": "flag",
    "value": "integer",
    "values": "values",
    "ranking": "integers",
    "both_bad": "flag",
    "flags": "flags",
    "spans": "spans",
    "rationale": "text",
    "reasons": "texts",
    "skip_reason": "text",
    "guidelines": "integer",
    "seconds": "number",
    "shown_order": "integers",
    "given_at": "text",
    "judged_at": "text",
    "superseded_at": "text",
    "assignment": "text",
    "pair": "text",
    "repeat_of": "text",
    "gold_value": "integer",
    "gold_accept": "integer",
    "explanation": "text",
    "round": "text",
    "strategy": "text",
    "probability": "number",
    "pair_source": "text",
    "external_id": "text",
    "prompt_id": "text",
    "group": "text",
    "prompt_source": "text",
    "tags": "texts",
    "messages": "messages",
    "completions": "completions",
}

_PAIR = {
    "purpose": "purpose",
    "split": "prompt__split",
    "campaign": "campaign_id",
    "pair": "id",
    "repeat_of": "repeat_of_id",
    "gold_value": "gold_value",
    "gold_accept": "gold_tolerance",
    "explanation": "gold_explanation",
    "round": "round_id",
    "strategy": "strategy",
    "probability": "probability",
    "pair_source": "source",
    "external_id": "external_id",
    "prompt_id": "prompt_id",
}
_RATER = {
    "rater": "rater__pseudonym",
    "rater_source": "rater__source",
    "simulated": "rater__simulated",
}
_JUDGMENT = {
    "id": "id",
    "revision": "revision",
    "active": "active",
    "withdrawn": "withdrawn",
    "surplus": "surplus",
    "ranking": "levels",
    "both_bad": "both_bad",
    "flags": "flags",
    "spans": "spans",
    "rationale": "rationale",
    "reasons": "reasons",
    "guidelines": "guideline_version__number",
    "seconds": "seconds",
    "judged_at": "created_at",
    "superseded_at": "superseded_at",
    "assignment": "assignment_id",
    "shown_order": "assignment__shown_order",
    "given_at": "assignment__leased_at",
    **{name: f"assignment__comparison__{path}" for name, path in _PAIR.items()},
    **_RATER,
    "use": "use",
    "excluded": "excluded",
}
_SKIP = {
    "id": "id",
    "skip_reason": "skip_reason",
    "guidelines": "guideline_version__number",
    "assignment": "id",
    "shown_order": "shown_order",
    "given_at": "leased_at",
    **{name: f"comparison__{path}" for name, path in _PAIR.items()},
    **_RATER,
}
_EMPTY: Mapping[str, Any] = {
    **{"text": "", "flag": False},
    **{kind: [] for kind in ("texts", "values", "flags", "spans")},
}


def every_judgment(*, line_id: UUID, campaigns: Collection[UUID] = ()) -> Iterator[Row]:
    """Rows of `COLUMNS`: the judgments by time, every revision of each, then the skips; of these
    campaigns, or of all of the line. Chunk by chunk: memory does not grow with the line."""
    known = dict(Campaign.objects.filter(line=line_id).values_list("pk", "slug"))
    names = dict(Campaign.objects.filter(line=line_id).values_list("pk", "name"))
    chosen = list(campaigns or known)
    judgments = Judgment.objects.filter(assignment__comparison__campaign__in=chosen)
    skips = Assignment.objects.filter(
        comparison__campaign__in=chosen, state=AssignmentState.SKIPPED
    )
    told = _read(
        judgments.annotate(use=label_use(), excluded=left_out(judgment="")).order_by(
            "created_at", "id"
        ),
        _JUDGMENT,
        {"kind": "judgment"},
    )
    skipped = _read(skips.order_by("leased_at", "id"), _SKIP, {"kind": "skip", "use": "skipped"})
    for rows in (told, skipped):
        while chunk := list(islice(rows, CHUNK)):
            _complete(chunk, known, names)
            yield from chunk


def _read(rows: QuerySet[Any, Any], paths: Mapping[str, str], fixed: Row) -> Iterator[Row]:
    """One row a record, with every column and nothing yet of what takes a look elsewhere."""
    blank = {name: _EMPTY.get(kind) for name, kind in COLUMNS.items()} | fixed
    found = rows.values_list(*paths.values())
    for record in found.iterator(chunk_size=CHUNK):
        yield {**blank, **dict(zip(paths, record, strict=True))}


def _complete(chunk: list[Row], slugs: Mapping[UUID, str], names: Mapping[UUID, str]) -> None:
    """Fill in what stands in other tables, and write ids and moments as texts."""
    values = _values([row["id"] for row in chunk])
    completions = _completions({row["pair"] for row in chunk})
    prompts = _prompts({row["prompt_id"] for row in chunk})
    for row in chunk:
        row["campaign_name"], row["campaign"] = names[row["campaign"]], slugs[row["campaign"]]
        row["values"] = values.get(row["id"], [])
        row["value"] = next((v["value"] for v in row["values"] if v["criterion"] == OVERALL), None)
        row["completions"] = completions.get(row["pair"], [])
        row.update(prompts[row["prompt_id"]])
        texts = {completion["text"] for completion in row["completions"]}
        if row["use"] in LEARNED_FROM and len(texts) == 1:
            row["use"] = "same_text"
        for name in ("id", "assignment", "pair", "repeat_of", "round", "prompt_id"):
            row[name] = str(row[name] or "")
        for name in ("given_at", "judged_at", "superseded_at"):
            row[name] = row[name].isoformat() if row[name] else ""


def _values(judgments: Collection[UUID]) -> dict[UUID, list[Row]]:
    """What was said on each criterion, in slot order."""
    found: dict[UUID, list[Row]] = defaultdict(list)
    rows = JudgmentValue.objects.filter(judgment__in=these(judgments))
    ordered = rows.order_by("judgment", "criterion__position", "criterion")
    for judgment, criterion, value in ordered.values_list("judgment_id", "criterion__key", "value"):
        found[judgment].append({"criterion": criterion, "value": value})
    return found


def _completions(pairs: Collection[UUID]) -> dict[UUID, list[Row]]:
    """The completions of each pair, in slot order."""
    found: dict[UUID, list[Row]] = defaultdict(list)
    rows = Slot.objects.filter(comparison__in=these(pairs)).order_by("comparison", "position")
    fields = ("text", "model_version", "artifact_sha256", "sampling", "seed", "tokens", "ended")
    paths: list[Any] = [f"completion__{field}" for field in fields]
    paths[fields.index("sampling")] = Cast("completion__sampling", TextField())  # as it is stored
    for pair, *record in rows.values_list("comparison_id", *paths):
        completion = dict(zip(fields, record, strict=True))
        completion["model_version"] = str(completion["model_version"] or "")
        found[pair].append(completion)
    return found


def _prompts(prompts: Collection[UUID]) -> dict[UUID, Row]:
    rows = Prompt.objects.filter(pk__in=these(prompts))
    fields = ("pk", "messages", "root_hash", "source", "tags")
    return {
        key: {"messages": messages, "group": group, "prompt_source": source, "tags": tags}
        for key, messages, group, source, tags in rows.values_list(*fields)
    }
