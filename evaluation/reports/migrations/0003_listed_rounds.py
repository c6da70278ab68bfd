"""A small row for each round, so that a page of many rounds reads no report; filled from the stored reports."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

# What was stored last and lists a round holds; of its own it tells the last report.
LIST = """
INSERT INTO reports_listedround
    (line, number, summary, verdict, compute_hours, reported, overridden, candidate, incumbent)
SELECT DISTINCT ON (line, (told ->> 'number')::int)
    line, (told ->> 'number')::int, told, coalesce(told ->> 'verdict', ''),
    coalesce((told ->> 'compute_hours')::float, 0), false, false, '', ''
FROM (
    SELECT line, created_at, revision, jsonb_array_elements(record -> 'history') AS told
    FROM reports_roundreport WHERE jsonb_typeof(record -> 'history') = 'array'
) AS reports
ORDER BY line, (told ->> 'number')::int, created_at DESC, revision DESC;

UPDATE reports_listedround listed
SET reported = true, candidate = coalesce(own.candidate, ''), incumbent = coalesce(own.incumbent, ''),
    overridden = coalesce(own.overridden, false)
FROM (
    SELECT DISTINCT ON (line, number) line, number, record ->> 'candidate_version' AS candidate,
        record ->> 'incumbent_version' AS incumbent,
        record -> 'overrides' NOT IN ('[]'::jsonb, 'null'::jsonb) AS overridden
    FROM reports_roundreport ORDER BY line, number, created_at DESC, revision DESC
) AS own
WHERE own.line = listed.line AND own.number = listed.number;
"""


def rate(apps: Any, schema_editor: Any) -> None:
    """The ratings of all candidates, as each stored report makes them from now on."""
    from evaluation.contracts import Interval
    from evaluation.reports.ratings import Game, candidates_rated

    rows = apps.get_model("reports", "ListedRound").objects
    for line in rows.values_list("line", flat=True).distinct():
        games, of = [], {}
        for row in rows.filter(line=line).exclude(candidate="").exclude(incumbent=""):
            rate = row.summary.get("win_rate")
            if rate:
                of[row.number] = row
                games.append(Game(row.number, row.candidate, row.incumbent, Interval.from_json(rate)))
        for number, rating in candidates_rated(sorted(games)).items():
            of[number].rating = rating.to_json()
        rows.bulk_update(of.values(), ["rating"], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("reports", "0002_append_only")]
    operations = [
        migrations.CreateModel(
            name="ListedRound",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("line", models.UUIDField()),
                ("number", models.PositiveIntegerField()),
                ("summary", models.JSONField()),
                ("verdict", models.CharField(blank=True, max_length=14)),
                ("compute_hours", models.FloatField(default=0.0)),
                ("reported", models.BooleanField(default=False)),
                ("overridden", models.BooleanField(default=False)),
                ("candidate", models.CharField(blank=True, max_length=120)),
                ("incumbent", models.CharField(blank=True, max_length=120)),
                ("rating", models.JSONField(null=True)),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["line"],
                        include=["verdict", "overridden", "compute_hours"],
                        name="round_listed_sums",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("line", "number"), name="round_listed_once")
                ],
            },
        ),
        migrations.RunSQL(LIST, migrations.RunSQL.noop),
        migrations.RunPython(rate, migrations.RunPython.noop),
    ]
