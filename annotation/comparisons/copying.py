"""Many new rows at once, by COPY: PostgreSQL takes them in several times as fast as by INSERT, and nothing has
to be compiled into a statement, nor a model built for each."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from django.contrib.postgres.fields import ArrayField
from django.db import IntegrityError, connection, models, transaction

Record = Sequence[Any]
Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")
# So often a row may be found stored by somebody else meanwhile.
TRIES = 3


@transaction.atomic
def rows_copy(model: type[models.Model], names: Sequence[str], records: Collection[Record]) -> None:
    """Write new rows, each with the values of the columns `names`.

    Every other column has its field's default, worked out once; keys that the database numbers itself stay
    with it. Raises `IntegrityError` and `DataError` as other writes do.
    """
    if not records:
        return
    fields = {f.attname: f for f in model._meta.concrete_fields if not _by_database(f)}
    others = {name: f for name, f in fields.items() if name not in names}
    rest = [_spelling(f)(f.get_default()) for f in others.values()]
    spellings = [(place, _spelling(fields[name])) for place, name in enumerate(names)]
    spelled = [(place, spell) for place, spell in spellings if spell is not _as_it_is]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(fields[name].column)) for name in (*names, *others))
    statement = f"COPY {quote(model._meta.db_table)} ({columns}) FROM STDIN"
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(statement) as copy,
    ):
        for record in records:
            row = [*record, *rest]
            for place, spell in spelled:
                row[place] = spell(row[place])
            copy.write_row(row)


def rows_copy_missing(
    model: type[models.Model],
    names: Sequence[str],
    records: Mapping[Key, Record],
    find: Callable[[Collection[Key]], Mapping[Key, Found]],
) -> Mapping[Key, Found]:
    """Write the rows, all of which were missing a moment ago; returns what `find` tells, by key, of those
    that somebody else has stored meanwhile, which are not written."""
    meanwhile: Mapping[Key, Found] = {}
    for attempt in range(1, TRIES + 1):
        missing = [record for key, record in records.items() if key not in meanwhile]
        try:
            rows_copy(model, names, missing)
        except IntegrityError:
            if attempt == TRIES:
                raise
            meanwhile = find(list(records))
        else:
            break
    return meanwhile


def _spelling(field: Any) -> Callable[[Any], Any]:
    """What writes a value of the field as PostgreSQL reads it, where psycopg does not know or is slow."""
    if isinstance(field, models.JSONField):
        return json.dumps
    if isinstance(field, ArrayField) and isinstance(field.base_field, models.IntegerField):
        return _numbers
    return _as_it_is


def _numbers(numbers: Sequence[int] | None) -> str | None:
    return None if numbers is None else f"{{{','.join(map(str, numbers))}}}"


def _as_it_is(value: Any) -> Any:
    return value


def _by_database(field: Any) -> bool:
    return field.generated or isinstance(field, models.AutoField)
