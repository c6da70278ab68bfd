"""What of the store waiting and running programs read: the cache must not let that go."""

from __future__ import annotations

from training.runs.inventory import store_path
from training.runs.models import Run, RunState


def paths_needed() -> set[str]:
    """Relative to the store."""
    unfinished = Run.objects.filter(state__in=[RunState.PENDING, RunState.RUNNING])
    read = [
        ref["path"]
        for spec in unfinished.values_list("spec", flat=True)
        for ref in spec["inputs"].values()
    ]
    return {path for each in read if (path := store_path(each)) is not None}
