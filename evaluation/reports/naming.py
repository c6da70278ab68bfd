"""Reports keep who acted as an id, never as a name; the name is put in when a page is drawn.

So a stored report needs no change when a person is erased: it then reads "a former member".
"""

from __future__ import annotations

from dataclasses import replace

from evaluation.contracts import RoundRecord
from web import audit


def people_named(record: RoundRecord) -> RoundRecord:
    """The record with names in place of ids; names of processes stay as they are."""
    names = audit.people_named(_keys(record))
    return replace(
        record,
        approvals=tuple(replace(item, person=names[item.person]) for item in record.approvals),
        overrides=tuple(
            replace(
                item,
                requested_by=names[item.requested_by],
                confirmed_by=names[item.confirmed_by],
            )
            for item in record.overrides
        ),
        weaker=tuple(
            replace(
                item,
                requested_by=names[item.requested_by],
                confirmed_by=names.get(item.confirmed_by, ""),
            )
            for item in record.weaker
        ),
        deployments=tuple(replace(item, by=names[item.by]) for item in record.deployments),
    )


def _keys(record: RoundRecord) -> set[str]:
    return {
        *(item.person for item in record.approvals),
        *(name for item in record.overrides for name in (item.requested_by, item.confirmed_by)),
        *(item.requested_by for item in record.weaker),
        *(item.confirmed_by for item in record.weaker if item.confirmed_by),
        *(item.by for item in record.deployments),
    }
