"""Counts of a campaign's queue and of its raters, kept by triggers: see `models/counts.py`."""

from __future__ import annotations

from django.db import migrations, models

CAMPAIGN = {
    "db_constraint": False,
    "db_index": False,
    "on_delete": models.CASCADE,
    "to": "campaigns.campaign",
}

# What a table's rows come to, by key. The aliases are those of the tables that the triggers write.
QUEUE_SUMS = """
SELECT campaign_id, purpose, count(*) FILTER (WHERE wanted > 0) AS asked,
       count(*) FILTER (WHERE open) AS open, sum(leased) AS leased, sum(judged) AS judged,
       sum(wanted) AS wanted
FROM {rows} GROUP BY campaign_id, purpose
"""
RATER_SUMS = """
SELECT pair.campaign_id, held.rater_id, count(*) AS given,
       count(*) FILTER (WHERE held.state = 'submitted') AS submitted,
       count(*) FILTER (WHERE held.state = 'skipped') AS skipped
FROM {rows} held JOIN comparisons_comparison pair ON pair.id = held.comparison_id
GROUP BY pair.campaign_id, held.rater_id
"""


def _function(
    table: str, keys: tuple[str, str], counted: tuple[str, ...], sums: str, folding: float
) -> str:
    """The trigger's function: the difference of the sums after and before, and now and then a fold.

    A fold takes only rows that nobody else is folding, and puts their sum in their place in one statement:
    whoever reads meanwhile sees the rows or their sum. A share `folding` of the statements folds, by chance;
    1 / `folding` is how many rows a key has between two folds.
    """
    named, key = ", ".join(counted), ", ".join(keys)
    parts = {
        "INSERT": sums.format(rows="coming"),
        "DELETE": _negated(sums.format(rows="going"), keys, counted),
    }
    parts["UPDATE"] = f"({parts['INSERT']}) UNION ALL ({parts['DELETE']})"
    added = "\n".join(
        f"""    {"IF" if event == "INSERT" else "ELSIF"} TG_OP = '{event}' THEN
        WITH changed AS (
            INSERT INTO {table} ({key}, {named})
            SELECT {key}, {", ".join(f"sum({name})" for name in counted)} FROM ({part}) AS parts
            GROUP BY {key} HAVING {" OR ".join(f"sum({name}) <> 0" for name in counted)}
            RETURNING {key}
        ) SELECT array_agg({keys[0]}), array_agg({keys[1]}) INTO firsts, seconds FROM changed;"""
        for event, part in parts.items()
    )
    kinds = {"purpose": "text[]", "rater_id": "uuid[]"}
    return f"""
CREATE FUNCTION {table}_keep() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE firsts uuid[]; seconds {kinds[keys[1]]};
BEGIN
    IF current_setting('outerloop.rows_with_counts', true) = 'yes' THEN
        RETURN NULL;  -- a backup is taken in, and brings the counts too
    END IF;
{added}
    END IF;
    IF firsts IS NOT NULL AND random() < {folding} THEN
        WITH folded AS (
            DELETE FROM {table} WHERE id IN (
                SELECT id FROM {table}
                WHERE ({key}) IN (SELECT * FROM unnest(firsts, seconds)) FOR UPDATE SKIP LOCKED)
            RETURNING {key}, {named}
        )
        INSERT INTO {table} ({key}, {named})
        SELECT {key}, {", ".join(f"sum({name})" for name in counted)} FROM folded GROUP BY {key};
    END IF;
    RETURN NULL;
END $$;
"""


def _negated(sums: str, keys: tuple[str, str], counted: tuple[str, ...]) -> str:
    turned = ", ".join(f"-{name} AS {name}" for name in counted)
    return f"SELECT {', '.join(keys)}, {turned} FROM ({sums}) AS before"


def _triggers(source: str, table: str) -> str:
    seen = {
        "INSERT": "NEW TABLE AS coming",
        "UPDATE": "OLD TABLE AS going NEW TABLE AS coming",
        "DELETE": "OLD TABLE AS going",
    }
    return "".join(
        f"CREATE TRIGGER {table}_{event.lower()} AFTER {event} ON {source} REFERENCING {tables}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_keep();\n"
        for event, tables in seen.items()
    )


def _first_count(table: str, source: str, key: str, named: str, sums: str) -> str:
    return f"INSERT INTO {table} ({key}, {named}) {sums.format(rows=source)};\n"


QUEUE, RATER = "comparisons_queuecount", "comparisons_ratercount"
QUEUE_COUNTED = ("asked", "open", "leased", "judged", "wanted")
RATER_COUNTED = ("given", "submitted", "skipped")
PAIRS, HELD = "comparisons_comparison", "comparisons_assignment"
FORWARD = (
    _function(QUEUE, ("campaign_id", "purpose"), QUEUE_COUNTED, QUEUE_SUMS, 0.02)
    + _function(RATER, ("campaign_id", "rater_id"), RATER_COUNTED, RATER_SUMS, 0.2)  # a campaign has many raters
    + _triggers(PAIRS, QUEUE)
    + _triggers(HELD, RATER)
    + _first_count(QUEUE, PAIRS, "campaign_id, purpose", ", ".join(QUEUE_COUNTED), QUEUE_SUMS)
    + _first_count(RATER, HELD, "campaign_id, rater_id", ", ".join(RATER_COUNTED), RATER_SUMS)
)
BACKWARD = "".join(
    f"DROP TRIGGER {table}_{event} ON {source};\n"
    for source, table in ((PAIRS, QUEUE), (HELD, RATER))
    for event in ("insert", "update", "delete")
) + "".join(f"DROP FUNCTION {table}_keep();\n" for table in (QUEUE, RATER))


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("campaigns", "0008_archived_at"),
        ("comparisons", "0016_reasons"),
    ]
    operations = [
        migrations.CreateModel(
            name="QueueCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("purpose", models.CharField(choices=[("training", "Training"), ("gate", "Gate"), ("gold", "Gold item"), ("repeat_of", "Repeat")], max_length=13)),
                *[(name, models.BigIntegerField()) for name in QUEUE_COUNTED],
                ("campaign", models.ForeignKey(related_name="queue_counts", **CAMPAIGN)),
            ],
            options={"indexes": [models.Index(fields=["campaign", "purpose"], name="queue_count_of")]},
        ),
        migrations.CreateModel(
            name="RaterCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                *[(name, models.BigIntegerField()) for name in RATER_COUNTED],
                ("campaign", models.ForeignKey(related_name="rater_counts", **CAMPAIGN)),
                ("rater", models.ForeignKey(related_name="counts", **{**CAMPAIGN, "to": "accounts.rater"})),
            ],
            options={"indexes": [models.Index(fields=["campaign", "rater"], name="rater_count_of")]},
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
