"""What a run that trained a policy hands over: the policy as any server reads it, and its adapter."""

from __future__ import annotations

from typing import Any

from transformers import GenerationConfig

from training.contracts import ArtifactRef, Sampling
from training.core.model.loading import LoadedModel, model_save
from training.core.model.lora import adapter_merge, adapter_save, has_adapter
from training.core.run.run_directory import Run

__all__ = ["policy_artifacts_write"]


def policy_artifacts_write(
    run: Run[Any], policy: LoadedModel, sampling: Sampling | None
) -> list[ArtifactRef]:
    """The artifact "policy", and "adapter" where there is one (main process only).

    With `sampling` a server that is asked for nothing else samples as training did. An adapter is
    merged into the weights on the way, where they lie: `policy` is an ordinary model afterwards, and what shared
    its weights computes otherwise.
    """
    artifacts = []
    if sampling is not None:
        _set_generation(policy, sampling)
    if has_adapter(policy.model):
        artifacts.append(
            run.write_directory("adapter", "adapter", lambda at: adapter_save(policy.model, at))
        )
        adapter_merge(policy.model)
    written = policy.written_as(run.config.checkpoint_dtype)
    policy_reference = run.write_directory("policy", "policy", lambda at: model_save(written, at))
    return [policy_reference, *artifacts]


def _set_generation(policy: LoadedModel, sampling: Sampling) -> None:
    """In place of all that stood there: a repetition penalty, say, was not sampled with."""
    ends, begin = list(policy.end_ids), policy.model.generation_config.bos_token_id
    policy.model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        max_new_tokens=sampling.max_new_tokens,
        bos_token_id=begin,
        eos_token_id=ends,
        pad_token_id=policy.pad_id,
    )
