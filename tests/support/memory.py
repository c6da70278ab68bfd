"""How much memory tensors took at their most: read from the allocator's own events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def peak_bytes(act: Callable[[], Any]) -> int:
    """The largest sum of bytes that were allocated on the CPU during `act`, beside what was there."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        act()
    results: Any = recorded.profiler
    events = [e for e in results.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


def storage_bytes(model: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in model.parameters())
