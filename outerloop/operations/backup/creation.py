"""Making a backup: the database as it is at one moment, then every artifact that it refers to.

The order makes it consistent: an artifact is there, whole and named by its hash, before a row refers to
it, and is never changed; so what the snapshot of the database refers to can be copied afterwards. Only
retention deletes artifacts, and a lock keeps the two apart.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from outerloop.operations.locks import maintenance_lock
from training import facade as training

from . import tables
from .manifest import MANIFEST, BackupCancelled, BackupError, FileEntry, Manifest, TableEntry
from .places import Sink, sink_open

MIGRATIONS = MigrationRecorder.Migration._meta.db_table


@dataclass
class Watch:
    """Told how far the work is; `cancelled` is asked at every piece."""

    on_start: Callable[[str, int], None] = lambda what, total: None
    on_bytes: Callable[[int], None] = lambda count: None
    cancelled: Callable[[], bool] = lambda: False

    def tick(self, count: int) -> None:
        if self.cancelled():
            raise BackupCancelled("Stopped before the end; nothing half made was left behind.")
        self.on_bytes(count)


@dataclass
class _Store:
    """The artifact store's files as they are copied: each once, however often it is referred to."""

    sink: Sink
    watch: Watch
    copied: dict[str, FileEntry] = field(default_factory=dict)

    def add(self, artifact: training.StoredArtifact) -> None:
        try:
            held = training.artifact_hold(artifact)
        except training.ArtifactMismatch as error:
            raise BackupError(_damaged(artifact, str(error))) from error
        try:
            self._copy(artifact)
        finally:
            held.release()

    def _copy(self, artifact: training.StoredArtifact) -> None:
        root = Path(settings.ARTIFACT_ROOT)
        if not (root / artifact.path).exists():
            raise BackupError(_damaged(artifact, "it is not there"))
        digests = {}
        for file in training.stored_files(artifact):
            name = file.relative_to(root).as_posix()
            if name not in self.copied:
                self.copied[name] = self.sink.add(f"artifacts/{name}", file, self.watch.tick)
            digests[file] = self.copied[name].sha256
        if artifact.sha256 and training.stored_digest(artifact, digests) != artifact.sha256:
            raise BackupError(_damaged(artifact, "its content is not what was recorded"))


def _damaged(artifact: training.StoredArtifact, why: str) -> str:
    return (
        f"The {artifact.name} ({artifact.path}) cannot be kept: {why}. Put it back from an earlier"
        " backup, or leave it out with --leave-out-damaged."
    )


def backup_make(
    *, target: Path, watch: Watch | None = None, leave_out_damaged: bool = False
) -> tuple[Manifest, list[str]]:
    """Write a backup to `target` (a new folder, or a new file that ends in .tar).

    Returns its manifest and, where `leave_out_damaged`, a sentence for each artifact left out. Raises
    `BackupError` or `BackupCancelled`; then nothing is left at `target`.
    """
    watch = watch or Watch()
    left_out: list[str] = []
    with (
        maintenance_lock("a backup"),
        sink_open(target) as sink,
        tempfile.TemporaryDirectory() as work,
    ):
        manifest = _database(sink, Path(work), watch)
        store = _Store(sink, watch)
        stored = list(training.artifacts_stored())
        watch.on_start("artifacts", _bytes(stored))
        for artifact in stored:
            try:
                store.add(artifact)
            except BackupCancelled:
                raise
            except BackupError as error:
                if not leave_out_damaged:
                    raise
                left_out.append(str(error))
        files = sorted(store.copied.values(), key=lambda entry: entry.path)
        manifest = replace(manifest, artifacts=tuple(files)).sealed()
        written = Path(work) / MANIFEST
        written.write_text(manifest.to_json(), encoding="utf-8")
        sink.move(MANIFEST, written)
    return manifest, left_out


def _bytes(stored: list[training.StoredArtifact]) -> int:
    try:
        return training.artifacts_bytes(stored)
    except training.ArtifactMismatch as error:
        raise BackupError(str(error)) from error


def _database(sink: Sink, work: Path, watch: Watch) -> Manifest:
    with tables.snapshot_connection() as raw:
        found = tables.tables_read(raw, table_names())
        sizes = raw.execute(
            "SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM pg_class WHERE relname = ANY(%s)",
            [[table.name for table in found]],
        ).fetchone()
        watch.on_start("database", int(sizes[0]) if sizes else 0)
        entries = tuple(_table(raw, table, sink, work, watch) for table in found)
        migrations = raw.execute(f"SELECT app, name FROM {MIGRATIONS} ORDER BY id").fetchall()  # noqa: S608
        others = raw.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND NOT tablename = ANY(%s)"
            " ORDER BY 1",
            [[table.name for table in found]],
        ).fetchall()
        return Manifest(
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            server=str(raw.info.server_version),
            migrations=tuple((app, name) for app, name in migrations),
            tables=entries,
            artifacts=(),
            left_out=(*sorted(tables.EMPTIED), *(name for (name,) in others)),
        )


def table_names() -> list[str]:
    """The tables of the installed apps, but for those that are not kept."""
    made = set(connection.introspection.django_table_names(include_views=False))
    return sorted((made | {MIGRATIONS}) - tables.EMPTIED)


def _table(
    raw: tables.Connection, table: tables.StoredTable, sink: Sink, work: Path, watch: Watch
) -> TableEntry:
    path = work / "table.gz"
    with tables.packed_writer(path) as file:
        rows, digest = tables.rows_out(raw, table, file, watch.tick)
    return TableEntry(
        name=table.name,
        columns=table.columns,
        key=table.key,
        rows=rows,
        sha256=digest,
        sequences=tables.sequences_read(raw, table),
        file=sink.move(f"database/{table.name}.copy.gz", path),
    )
