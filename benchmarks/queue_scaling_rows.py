"""One line with as many pairs, judgments, people and rounds as asked, made by statements over whole tables.

Foreign keys are not checked row by row while the rows go in, and no trigger runs: that is what makes a
million pairs a matter of a minute or two. What the triggers keep is counted afterwards, as `doctor` does it.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

from django.db import connection, transaction

from annotation.campaigns.models import OVERALL, Campaign
from annotation.comparisons.counts import counts_mend
from evaluation.contracts import RoundRecord
from evaluation.facade import listing_mend
from outerloop.rounds.models import PolicyLine
from tests.annotation.factories import a_campaign
from tests.evaluation.reports import records

MOST_PEOPLE, MOST_ROUNDS, PAST = 1000, 10_000, 50

# %(n)s pairs; a row's id is drawn from its kind and number, so that tables meet without being joined.
ROWS = (
    """INSERT INTO accounts_user (id, password, is_superuser, username, first_name, last_name, email,
           is_staff, is_active, date_joined, one_gesture, text_view, compare_keys, toured,
           break_minutes)
       SELECT md5('user' || i)::uuid, '!', false, 'person' || i, '', '', 'person' || i || '@example.org',
           false, true, now(), false, '', '{}', true, 50 FROM generate_series(0, %(people)s - 1) i""",
    """INSERT INTO accounts_membership (user_id, role, line)
       SELECT md5('user' || i)::uuid, 'annotator', %(line)s FROM generate_series(0, %(people)s - 1) i""",
    """INSERT INTO accounts_rater (id, user_id, pseudonym, source, external_id, simulated, created_at)
       SELECT md5('rater' || i)::uuid, md5('user' || i)::uuid, 'rater-' || i, '', '', false, now()
       FROM generate_series(0, %(people)s - 1) i""",
    """INSERT INTO comparisons_prompt (id, line, messages, digest, root_hash, split, source, external_id,
           tags, created_at)
       SELECT md5('prompt' || i)::uuid, %(line)s, jsonb_build_array(jsonb_build_object('role', 'user',
           'content', 'How do I sort list ' || i || '?')), md5('digest' || i), md5('root' || i),
           CASE i %% 10 WHEN 0 THEN 'validation' WHEN 1 THEN 'test' ELSE 'train' END, '', '', '{}',
           now() - interval '1 year' FROM generate_series(0, %(n)s - 1) i""",
    """INSERT INTO comparisons_completion (id, prompt_id, artifact_sha256, sampling, text, text_sha256,
           ended, created_at)
       SELECT md5('text' || i || '-' || s)::uuid, md5('prompt' || i)::uuid, '', '{}',
           repeat('Sorting keeps the order that you give. ', 3 + (i + s) %% 5) || s,
           md5('text' || i || '-' || s), true, now() - interval '1 year'
       FROM generate_series(0, %(n)s - 1) i, generate_series(1, 2) s""",
    """INSERT INTO comparisons_comparison (id, campaign_id, prompt_id, purpose, strategy, probability,
           pair_digest, queue_key, wanted, judged, leased, adaptive, source, external_id, gold_explanation,
           created_at)
       SELECT md5('pair' || i)::uuid, %(campaign)s, md5('prompt' || i)::uuid, 'training', 'random', 1,
           md5('pair' || i), random(), 1, (i %% 20 > 0)::int, 0, false, '', '', '',
           now() - interval '1 year' FROM generate_series(0, %(n)s - 1) i""",
    """INSERT INTO comparisons_slot (comparison_id, position, completion_id)
       SELECT md5('pair' || i)::uuid, s, md5('text' || i || '-' || s)::uuid
       FROM generate_series(0, %(n)s - 1) i, generate_series(1, 2) s""",
    """INSERT INTO comparisons_assignment (id, comparison_id, rater_id, shown_order, state, leased_at,
           lease_expires_at, submitted_at, draft, skip_reason, touched_at, guideline_version_id)
       SELECT md5('held' || i)::uuid, md5('pair' || i)::uuid, md5('rater' || i %% %(people)s)::uuid,
           CASE WHEN random() < 0.5 THEN '{1,2}'::smallint[] ELSE '{2,1}' END, 'submitted', at, at, at, '{}',
           '', at, %(guidelines)s
       FROM (SELECT i, now() - interval '1 year' * (1 - i / %(n)s::float) AS at
             FROM generate_series(0, %(n)s - 1) i WHERE i %% 20 > 0) AS given""",
    """INSERT INTO comparisons_judgment (id, assignment_id, rater_id, revision, active, withdrawn, surplus,
           both_bad, flags, spans, rationale, reasons, idempotency_key, seconds, created_at,
           guideline_version_id)
       SELECT md5('said' || i)::uuid, md5('held' || i)::uuid, md5('rater' || i %% %(people)s)::uuid, 1, true,
           false, false, i %% 50 = 7, '[]', '[]', CASE i %% 10 WHEN 3 THEN 'The first is shorter.' ELSE '' END,
           '[]', i::text, 5 + random() * 20, now() - interval '1 year' * (1 - i / %(n)s::float),
           %(guidelines)s
       FROM generate_series(0, %(n)s - 1) i WHERE i %% 20 > 0""",
    """INSERT INTO comparisons_judgmentvalue (judgment_id, criterion_id, value)
       SELECT md5('said' || i)::uuid, %(overall)s, 1 + i %% 7
       FROM generate_series(0, %(n)s - 1) i WHERE i %% 20 > 0""",
    """INSERT INTO comparisons_raterqueue (campaign_id, rater_id, leases, labels, positions)
       SELECT %(campaign)s, rater_id, count(*), count(*), '{}' FROM comparisons_assignment
       GROUP BY rater_id""",
    """INSERT INTO runs_snapshot (id, line, recipe, sha256, path, rows, counts, created_at)
       SELECT md5('snapshot' || i)::uuid, %(line)s, '{}', md5('snapshot' || i), '', i * 95, '{}', now()
       FROM generate_series(1, %(rounds)s) i""",
    """INSERT INTO runs_modelversion (id, line, kind, number, name, path, sha256, meta, created_at)
       SELECT md5('version' || i)::uuid, %(line)s, 'policy', i, 'v' || i, '', md5('version' || i), '{}', now()
       FROM generate_series(0, %(rounds)s) i""",
    """INSERT INTO rounds_round (id, line_id, number, state, trigger, title, plan, deploys_by_itself,
           incumbent, candidate, snapshot, fresh_labels, verdict, summary, error, created_at, closed_at)
       SELECT md5('round' || i)::uuid, %(line)s, i, 'CLOSED', 'person', '', '{}', false,
           md5('version' || i - 1)::uuid, md5('version' || i)::uuid, md5('snapshot' || i)::uuid, 100,
           CASE i %% 2 WHEN 0 THEN 'PROMOTE' ELSE 'REJECT' END, '', '',
           now() - interval '1 year' * (1 - i / %(rounds)s::float) - interval '5 minutes', now()
       FROM generate_series(1, %(rounds)s) i""",
    """INSERT INTO runs_run (id, line, round, kind, state, seed, spec, spec_sha256, fence, lease_owner, backend,
           job_id, compute_seconds, error, created_at)
       SELECT md5('run' || i || '-' || k)::uuid, %(line)s, md5('round' || i)::uuid,
           (ARRAY['reward_model', 'evaluate_reward_model', 'ppo', 'evaluate_policy', 'sample_pairs'])[k],
           'succeeded', i, '{}', md5('spec' || i || '-' || k), 1, '', 'local', '', 60, '',
           now() - interval '1 year' * (1 - i / %(rounds)s::float) + k * interval '1 minute'
       FROM generate_series(1, %(rounds)s) i, generate_series(1, 5) k""",
    """INSERT INTO gates_deployment (id, line, version, artifact_sha256, kind, actor, reason, started_at,
           served_error)
       SELECT md5('deployment' || i)::uuid, %(line)s, md5('version' || i)::uuid, md5('version' || i),
           'rollback', 'gate', '', now() - interval '1 year' * (1 - i / %(rounds)s::float), ''
       FROM generate_series(1, %(rounds)s) i""",
    """INSERT INTO web_auditevent (at, actor, verb, target, line, detail)
       SELECT now() - interval '1 year' * (1 - i / (%(n)s / 10.0)), md5('user' || i %% %(people)s)::uuid::text,
           'sent answer back', 'campaign Scale', %(line)s, '{}' FROM generate_series(1, %(n)s / 10) i""",
    """INSERT INTO web_notice (id, user_id, topic, level, text, url, created_at, read_at)
       SELECT md5('notice' || i)::uuid, %(lead)s, i::text, 'info', 'Somebody asks about a pair of Scale.', '',
           now() - interval '1 year' * (1 - i / (%(n)s / 100.0)), now() FROM generate_series(1, %(n)s / 100) i""",
    """INSERT INTO exchange_importjob (id, line, options, state, cancel_requested, rows_done, counts, error,
           actor, path, name, bytes_total, bytes_done, created_at)
       SELECT md5('import' || i)::uuid, %(line)s, '{}', 'done', false, 100, '{}', '', 'command', 'x',
           'votes-' || i || '.jsonl', 0, 0, now() - interval '1 year' * (1 - i / (%(n)s / 1000.0))
       FROM generate_series(1, %(n)s / 1000) i""",
)


def line_fill(pairs: int, lead: Any) -> Campaign:
    """The campaign of a new line, slug "scale", with so many pairs; notices are the lead's."""
    line = PolicyLine.objects.create(name="Scale", slug="scale", base_version=uuid.uuid4())
    campaign = a_campaign(line_id=line.pk, name="Scale", guidelines="Which is better?")
    rounds = min(MOST_ROUNDS, pairs // 100)
    values: dict[str, Any] = {
        "n": pairs,
        "people": min(MOST_PEOPLE, max(20, pairs // 100)),
        "rounds": rounds,
        "line": line.pk,
        "lead": lead.pk,
        "campaign": campaign.pk,
        "guidelines": campaign.guidelines.get().pk,
        "overall": campaign.criteria.get(key=OVERALL).pk,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in ROWS:
            cursor.execute(statement, values)
        _reports_fill(cursor, line, rounds)
    counts_mend()
    listing_mend()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return campaign


def _reports_fill(cursor: Any, line: PolicyLine, rounds: int) -> None:
    """A report for each round, which lists itself and the rounds before it, `PAST` in all."""
    record = replace(records.PROMOTED, line=line.slug, line_id=str(line.pk), history=())
    document = RoundRecord.from_json(record.to_json()).to_json()
    past = records.history(1)[0].to_json()
    cursor.execute(
        """INSERT INTO reports_roundreport (id, round, line, line_slug, number, revision, record, sha256,
               created_at)
           SELECT md5('report' || i)::uuid, md5('round' || i)::uuid, %(line)s, 'scale', i, 1,
               %(record)s::jsonb || jsonb_build_object('number', i, 'round_id', md5('round' || i)::uuid,
                   'candidate_version', 'v' || i, 'incumbent_version', 'v' || i - 1,
                   'history', (SELECT jsonb_agg(%(past)s::jsonb || jsonb_build_object('number', p)
                        ORDER BY p) FROM generate_series(greatest(1, i - %(most)s + 1), i) p)),
               md5('sha' || i), now() - interval '1 minute' * (%(rounds)s - i)
           FROM generate_series(1, %(rounds)s) i""",
        {
            "line": line.pk,
            "record": json.dumps(document),
            "past": json.dumps(past),
            "most": PAST,
            "rounds": rounds,
        },
    )
