"""A database of the first release, with a row in every table, is brought to this one and loses nothing.

`first_release.json` names the migrations that the first release had; it never changes again.
"""

from __future__ import annotations

import datetime
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.migrations.executor import MigrationExecutor

from annotation.accounts.models import Rater
from annotation.campaigns.models import Campaign
from annotation.comparisons.exclusions import left_out
from annotation.comparisons.models import Exclusion, JudgmentValue
from outerloop.operations.backup import tables
from tests.outerloop.operations.databases import empty_database

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

FIRST: dict[str, str] = json.loads(Path(__file__).with_name("first_release.json").read_text())
NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)

# What went since, because no release read it or another table holds it now: a table whole, or columns.
GONE: dict[str, set[str]] = {
    "gates_evaluationrecord": set(),
    "gates_decision": {"discovered", "discoveries", "e_level", "test_number"},
    "quality_raterexclusion": set(),  # comparisons_exclusion: a row for each line of the rater
    "accounts_rater": {"excluded_at"},
    "campaigns_campaign": {"random_share"},
    "rounds_policyline": {"archived_at"},
    "web_notice": {"mailed_at"},
}

# What no value of a type alone would satisfy: constraints between columns, and choices with a meaning.
SPECIAL: dict[str, dict[str, Any]] = {
    "campaigns.campaign": {"gate_share": 0.3, "gold_share": 0.1, "repeat_share": 0.1},
    "comparisons.comparison": {"purpose": "training", "wanted": 3, "judged": 1, "leased": 1, "repeat_of": None,
                               "gold_value": 4},
    "comparisons.judgment": {"active": True, "withdrawn": False, "superseded_at": None},
    "comparisons.judgmentvalue": {"value": 7},
    "comparisons.slot": {"position": 2},
    "gates.deployment": {"previous": None, "kind": "initial"},
    "gates.override": {"requested_by": "lea", "confirmed_by": "leo"},
    "runs.modelversion": {"parent": None},
    "quality.raterexclusion": {"lifted_at": None},
}  # fmt: skip


def value_of(field: models.Field[Any, Any], made: dict[str, models.Model]) -> Any:
    """A value that an empty column would not have, so that losing it shows."""
    if isinstance(field, models.ForeignKey | models.OneToOneField):
        return made[field.related_model._meta.label_lower]
    if field.choices:
        return next(iter(field.flatchoices))[0]
    if isinstance(field, ArrayField):
        return [2, 1] if isinstance(field.base_field, models.IntegerField) else ["one"]
    kinds: list[tuple[type[models.Field[Any, Any]], Any]] = [
        (models.UUIDField, uuid.uuid4()),
        (models.EmailField, "ann@example.org"),
        (models.SlugField, "a-slug"),
        (models.CharField, f"é{field.name}"[: field.max_length or 20]),
        (models.TextField, "Line one\nline two\t\\"),
        (models.JSONField, {"kept": [1, 2.5, None, "é"]}),
        (models.BooleanField, True),
        (models.DateTimeField, NOW),
        (models.TimeField, datetime.time(2, 30)),
        (models.FloatField, 0.1),
        (models.IntegerField, 3),
    ]
    return next(value for kind, value in kinds if isinstance(field, kind))


def fill(apps: Any) -> int:
    """One row in every table of our apps, those that others refer to first; returns how many."""
    made: dict[str, models.Model] = {}
    waiting = [model for model in apps.get_models() if model._meta.app_label in FIRST]
    while waiting:
        ready = [m for m in waiting if referred(m) <= made.keys() | {m._meta.label_lower}]
        assert ready, f"These refer to each other: {waiting}"
        for model in ready:
            made[model._meta.label_lower] = row_make(model, made)
        waiting = [model for model in waiting if model not in ready]
    return len(made)


def referred(model: type[models.Model]) -> set[str]:
    ours = {f.related_model for f in model._meta.fields if f.related_model is not None}
    return {other._meta.label_lower for other in ours if other._meta.app_label in FIRST}


def row_make(model: type[models.Model], made: dict[str, models.Model]) -> models.Model:
    special = SPECIAL.get(model._meta.label_lower, {})
    values = {}
    for field in model._meta.fields:
        if field.name in special:
            values[field.name] = special[field.name]
        elif not isinstance(field, models.AutoField | models.GeneratedField):
            values[field.name] = value_of(field, made)
    return model._default_manager.create(**values)


def ours() -> list[tables.StoredTable]:
    with tables.snapshot_connection() as raw:
        names = [n for n in connection.introspection.table_names() if n.split("_")[0] in FIRST]
        return tables.tables_read(raw, names)


def without_gone(found: list[tables.StoredTable]) -> list[tables.StoredTable]:
    return [
        replace(table, columns=tuple(c for c in table.columns if c not in GONE.get(table.name, ())))
        for table in found
        if GONE.get(table.name) != set()
    ]


def digests(of: list[tables.StoredTable]) -> dict[str, tuple[int, str]]:
    """Of the columns that the tables had then."""
    with tables.snapshot_connection() as raw:
        return {table.name: tables.rows_out(raw, table, None, lambda _: None) for table in of}


def others(executor: MigrationExecutor) -> list[tuple[str, str]]:
    return [node for node in executor.loader.graph.leaf_nodes() if node[0] not in FIRST]


def test_every_row_of_the_first_release_is_there_after_the_upgrade():
    with empty_database():
        executor = MigrationExecutor(connection)
        first_release = [*FIRST.items(), *others(executor)]
        executor.migrate(first_release)
        filled = fill(executor.loader.project_state(first_release).apps)
        rows = [count for count, _ in digests(ours()).values()]
        assert set(rows) <= {0, 1}
        assert sum(rows) == filled > 25
        first = without_gone(ours())
        before = digests(first)
        executor = MigrationExecutor(connection)
        executor.migrate(executor.loader.graph.leaf_nodes())
        assert digests(first) == before
        now = {table.name: set(table.columns) for table in ours()}
        lost = {t.name: set(t.columns) - now.get(t.name, set()) for t in first}
        assert not any(lost.values()), f"columns that went: {lost}"
        excluded = Exclusion.objects.get()
        assert excluded.line == Campaign.objects.get().line
        assert (excluded.rater, excluded.reason) == (Rater.objects.get(), "éreason")
        assert JudgmentValue.objects.filter(left_out()).exists()
