"""The policy that KL is measured to."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from training.contracts import AdapterConfig
from training.core.model.loading import LoadedModel, policy_load_path
from training.core.model.lora import AdapterOff
from training.core.rollout.preflight import check_vocabularies
from training.core.run.run_directory import Run
from training.core.sharding import parameters_cast

__all__ = ["reference_cast", "reference_is_adapter_off", "reference_open"]


def reference_is_adapter_off(run: Run[Any], adapter: AdapterConfig) -> bool:
    """Whether an adapter is trained on the very policy that is the reference."""
    run.input("reference")  # says so where it is missing
    same = run.spec.inputs["reference"].sha256 == run.spec.inputs["policy"].sha256
    return adapter.kind != "none" and same


def reference_open(
    run: Run[Any], policy: LoadedModel, adapter: AdapterConfig, *, device: torch.device
) -> Any:
    """The input "reference", frozen; called like a model.

    Where `reference_is_adapter_off` it is the policy with its adapter switched off, and nothing is
    loaded twice.
    """
    if reference_is_adapter_off(run, adapter):
        return AdapterOff(policy.model)
    reference = policy_load_path(run.input("reference"))
    check_vocabularies(policy, reference)
    return reference.model.to(device).eval().requires_grad_(False)


def reference_cast(reference: Any, dtype: torch.dtype) -> None:
    """Weights as the sharded policy computes with: the same policy must give the same logits."""
    if isinstance(reference, nn.Module) and dtype != torch.float32:
        parameters_cast(reference, dtype)
