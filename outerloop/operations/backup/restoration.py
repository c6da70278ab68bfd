"""Bringing a backup back, into an empty place only: first everything is verified, then it is taken in.

The schema is made by the migrations that the backup names, the rows come in one transaction and are
read again and compared, and at last the database is brought to the release that is installed.
"""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from training import facade as training

from . import tables
from .creation import Watch
from .manifest import MANIFEST, BackupError, FileEntry, Manifest, TableEntry, manifest_read
from .places import Source, file_copy, source_open

ARTIFACTS = PurePosixPath("artifacts")
ARRIVING = ".restoring"
# Rows that migrations and the first start put into a new database by themselves.
BY_THEMSELVES = frozenset(
    {
        "auth_permission",
        "django_content_type",
        "django_migrations",
        "django_session",
        "django_celery_beat_crontabschedule",
        "django_celery_beat_intervalschedule",
        "django_celery_beat_periodictask",
        "django_celery_beat_periodictasks",
        "outerloop_cache",
    }
)


def backup_verify(*, path: Path, watch: Watch | None = None) -> Manifest:
    """Read the whole backup and compare every file with its hash; `BackupError` names what differs."""
    with source_open(path) as source:
        return _verify(source, path, watch or Watch())


def _verify(source: Source, path: Path, watch: Watch) -> Manifest:
    try:
        with source.open(MANIFEST) as file:
            text = file.read()
    except FileNotFoundError as error:
        raise BackupError(
            f"{path} is no whole backup: it has no {MANIFEST}, which is written last."
        ) from error
    manifest = manifest_read(text, where=str(path))
    watch.on_start("verifying", manifest.bytes)
    for entry in manifest.files():
        _file_verify(source, entry, path, watch)
    return manifest


def _file_verify(source: Source, entry: FileEntry, path: Path, watch: Watch) -> None:
    try:
        with source.open(entry.path) as file:
            size, digest = file_copy(file, None, watch.tick)
    except (FileNotFoundError, EOFError) as error:
        raise BackupError(f"{path} is damaged: {entry.path} is missing or cut off.") from error
    if size != entry.bytes:
        raise BackupError(
            f"{path} is damaged: {entry.path} has {size:,} bytes instead of {entry.bytes:,}."
        )
    if digest != entry.sha256:
        raise BackupError(f"{path} is damaged: {entry.path} is not what was written.")


def backup_restore(*, path: Path, watch: Watch | None = None, migrate: bool = True) -> Manifest:
    """Bring the backup at `path` into the empty database and artifact store of the settings.

    Raises `BackupError` when the backup is damaged or the place is not empty; then the rows and
    artifacts that were on their way are taken back. With `migrate` the database is brought to the
    installed release afterwards.
    """
    watch = watch or Watch()
    with source_open(path) as source:
        manifest = _verify(source, path, watch)
        _store_require_empty()
        _database_require_empty(manifest)
        arriving = Path(settings.ARTIFACT_ROOT) / ARRIVING
        try:
            _artifacts_take_in(source, manifest.artifacts, arriving, watch)
            _schema_make(manifest)
            _rows_take_in(source, manifest.tables, watch)
            _artifacts_arrive(arriving)
        finally:
            shutil.rmtree(arriving, ignore_errors=True)
    if migrate:
        call_command("migrate", verbosity=0, interactive=False)
        _store_fill()
    return manifest


def _store_fill() -> None:
    """Into object storage, where the settings name some; else all lies in its place already."""
    try:
        training.artifacts_send()
        training.store_enter()
    except (training.ArtifactMismatch, training.StoreAway) as error:
        raise BackupError(
            f"The database is restored and its artifacts lie in {settings.ARTIFACT_ROOT}, but not all of"
            f" them reached the store: {error} Then run `python manage.py artifacts_send` and `prepare`."
        ) from error


def _store_require_empty() -> None:
    root = Path(settings.ARTIFACT_ROOT)
    there = sorted(item.name for item in root.iterdir()) if root.exists() else []
    ours = (ARRIVING, training.STORE_MARKER, training.CACHE_FOLDER)
    if [n for n in there if n not in ours and not n.startswith(training.STORE_PROBE)]:
        raise BackupError(
            f"The artifact store {root} is not empty ({', '.join(there[:3])}). Restore goes into an"
            " empty place only: set OUTERLOOP_ARTIFACTS to a new folder, or move this one away."
        )
    shutil.rmtree(root / ARRIVING, ignore_errors=True)
    try:
        held = training.store_holds()
    except training.ArtifactMismatch as error:
        raise BackupError(str(error)) from error
    if held:
        raise BackupError(
            f"{held}: restore goes into an empty place only. Name a new bucket or prefix in"
            " OUTERLOOP_ARTIFACT_STORE."
        )


def _database_require_empty(manifest: Manifest) -> None:
    there = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        full = [name for name in sorted(there - BY_THEMSELVES) if _has_rows(cursor, name)]
        applied: set[tuple[str, str]] = set()
        if "django_migrations" in there:
            cursor.execute("SELECT app, name FROM django_migrations")
            applied = set(cursor.fetchall())
    name = connection.settings_dict["NAME"]
    advice = (
        "Restore goes into an empty place only: make a new database and name it in DATABASE_URL"
        " (or, on the embedded server, in OUTERLOOP_DATABASE)."
    )
    if full:
        raise BackupError(f"The database {name} is not empty ({', '.join(full[:3])}). {advice}")
    if applied and applied != set(manifest.migrations):
        raise BackupError(
            f"The database {name} has the tables of another release than the backup. {advice}"
        )


def _has_rows(cursor: object, table: str) -> bool:
    if table.startswith("kombu_"):  # messages are hints
        return False
    execute, fetchone = cursor.execute, cursor.fetchone  # type: ignore[attr-defined]
    execute(f"SELECT EXISTS (SELECT 1 FROM {connection.ops.quote_name(table)})")  # noqa: S608
    return bool(fetchone()[0])


def _artifacts_take_in(
    source: Source, entries: Iterable[FileEntry], arriving: Path, watch: Watch
) -> None:
    entries = tuple(entries)
    arriving.mkdir(parents=True)
    watch.on_start("artifacts", sum(entry.bytes for entry in entries))
    for entry in entries:
        target = arriving / PurePosixPath(entry.path).relative_to(ARTIFACTS)
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open(entry.path) as file, target.open("xb") as out:
            _, digest = file_copy(file, out, watch.tick)
        if digest != entry.sha256:
            raise BackupError(f"{entry.path} changed while it was read; try again.")


def _artifacts_arrive(arriving: Path) -> None:
    for item in sorted(arriving.iterdir()):
        item.rename(arriving.parent / item.name)


def _schema_make(manifest: Manifest) -> None:
    """Migrate to exactly what the backed-up database had, which may be an older release's schema."""
    executor = MigrationExecutor(connection)
    wanted = set(manifest.migrations)
    nodes = executor.loader.graph.nodes
    unknown = sorted(wanted - nodes.keys())
    if unknown:
        app, name = unknown[0]
        raise BackupError(
            f"The backup was made by another release: it has the migration {app} {name}, which is not"
            " installed here. Install the release that made it, or a later one."
        )
    within = executor.loader.graph.node_map
    last = [key for key in wanted if not wanted & {child.key for child in within[key].children}]
    executor.migrate(sorted(last))
    connections.close_all()  # the rows come over a connection of their own


def _rows_take_in(source: Source, entries: tuple[TableEntry, ...], watch: Watch) -> None:
    watch.on_start("database", sum(entry.file.bytes for entry in entries))
    with tables.loading_connection() as raw:
        there = {table.name: table for table in tables.tables_read(raw, [e.name for e in entries])}
        tables.tables_empty(raw, sorted(there))
        for entry in entries:
            table = there.get(entry.name)
            if table is None or set(table.columns) != set(entry.columns):
                raise BackupError(
                    f"The table {entry.name} of the backup does not fit the one that the migrations"
                    " make; install the release that made the backup."
                )
            _table_take_in(raw, source, entry, table, watch)


def _table_take_in(
    raw: tables.Connection,
    source: Source,
    entry: TableEntry,
    table: tables.StoredTable,
    watch: Watch,
) -> None:
    as_written = tables.StoredTable(table.name, entry.columns, entry.key, table.serial)
    try:
        with source.open(entry.file.path) as packed, gzip.open(packed) as rows:
            tables.rows_in(raw, as_written, rows, lambda _: None)  # type: ignore[arg-type]
    except (OSError, EOFError, zlib.error) as error:
        raise BackupError(f"{entry.file.path} cannot be unpacked: {error}.") from error
    except psycopg.Error as error:
        reason = str(error).splitlines()[0]
        raise BackupError(f"The rows of {entry.name} cannot be taken in: {reason}.") from error
    tables.sequences_set(raw, table, dict(entry.sequences))
    rows_now, digest = tables.rows_out(raw, as_written, None, lambda _: None)
    if (rows_now, digest) != (entry.rows, entry.sha256):
        raise BackupError(
            f"The table {entry.name} came back with {rows_now:,} rows that differ from the"
            f" {entry.rows:,} backed up; nothing was kept."
        )
    watch.tick(entry.file.bytes)
