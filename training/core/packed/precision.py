"""The precision that autocast computes matrix products in."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["autocast_dtype", "working"]


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """None outside autocast."""
    enabled = torch.is_autocast_enabled(device.type)
    return torch.get_autocast_dtype(device.type) if enabled else None


def working(operand: Tensor) -> Tensor:
    """As autocast would turn it before each product: here once for several."""
    dtype = autocast_dtype(operand.device)
    return operand if dtype is None else operand.to(dtype)
