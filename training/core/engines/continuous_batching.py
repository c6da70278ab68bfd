"""Continuous batching of `transformers`: a paged key-value cache, and a new prompt where one has ended.

It samples in a thread of its own, which inherits no autocast: what it computes in is its own setting.
In float32 it works on the policy itself; in bfloat16 on a copy, which gets the policy's weights before
every rollout.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from training.contracts import Sampling
from training.core.data.randomness import derive_seed
from training.core.model.loading import LoadedModel
from training.core.model.lora import merged_weights
from training.core.rollout.engine import Sampled
from training.core.run.errors import UserError

__all__ = ["ContinuousBatchingEngine"]

BATCH_TOKENS = 512
"""Prompt tokens of one pass; without FlashAttention its mask takes this times the whole cache."""
PAGE, FLASH_PAGE = 16, 256
"""Tokens of a page. FlashAttention reads pages of 256; small ones waste less where nothing asks for more."""


class ContinuousBatchingEngine:
    """`sampling.batch_size` completions have room in the cache at once; the others wait their turn."""

    def __init__(self, policy: LoadedModel, sampling: Sampling, *, dtype: torch.dtype) -> None:
        logging.getLogger("ContinuousBatchingLogger").setLevel(logging.WARNING)  # a page a rollout
        self._policy, self._sampling = policy, sampling
        own = next(policy.model.parameters()).dtype
        self._copy = None if dtype == own else _bare_copy(policy.model, dtype)

    def sample(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> Sampled:
        model: Any = self._policy.model if self._copy is None else self._refreshed(self._copy)
        training = model.training
        results = model.generate_batch(
            [list(prompt) for prompt in prompts],
            generation_config=self._generation(),
            continuous_batching_config=self._batching(model, prompts, seeds),
            warmup=False,
        )
        model.train(training)  # it switches to evaluation and leaves it at that
        _check(results, len(prompts))
        ends = frozenset(self._policy.end_ids)
        responses = [list(result.generated_tokens) for result in results.values()]
        return Sampled(
            responses=responses,
            ended=[response[-1] in ends for response in responses],
            log_probs=[list(result.logprobs) for result in results.values()],
        )

    def _refreshed(self, model: Any) -> Any:
        with torch.no_grad():
            mine = model.state_dict()
            for name, weight in merged_weights(self._policy.model):
                mine[name].copy_(weight)
        return model

    def _generation(self) -> GenerationConfig:
        """A configuration of its own: what the policy's says of other filters must not leak in."""
        return GenerationConfig(
            do_sample=True,
            temperature=self._sampling.temperature,
            top_k=self._sampling.top_k,
            top_p=self._sampling.top_p,
            max_new_tokens=self._sampling.max_new_tokens,
            eos_token_id=list(self._policy.end_ids),
            pad_token_id=self._policy.pad_id,
        )

    def _batching(self, model: Any, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> Any:
        """The cache is as large as the batch needs: left alone, it takes most of the free memory."""
        from transformers import ContinuousBatchingConfig  # early releases of 5 have none

        flash = model.device.type == "cuda" and model.dtype in (torch.bfloat16, torch.float16)
        page = FLASH_PAGE if flash else PAGE
        rows = min(len(prompts), self._sampling.batch_size)
        longest = max(map(len, prompts)) + self._sampling.max_new_tokens
        return ContinuousBatchingConfig(
            page_size=page,
            num_blocks=rows * (-(-longest // page) + 1),
            max_batch_tokens=max(BATCH_TOKENS, rows),
            max_requests_per_batch=rows,
            allow_block_sharing=False,
            return_logprobs=True,
            seed=derive_seed("continuous batching", *seeds),
            auto_switch_to_flash=flash,
        )


def _bare_copy(model: Any, dtype: torch.dtype) -> Any:
    """The same architecture without adapter or recomputation; its weights are still to be brought.

    Parameters are `dtype`; buffers, such as rotary frequencies, stay as exact as they are.
    """
    other = type(model)(copy.deepcopy(model.config)).to(model.device).requires_grad_(False)
    for parameter in other.parameters():
        parameter.data = parameter.data.to(dtype)
    return other


def _check(results: dict[str, Any], wanted: int) -> None:
    """`generate_batch` logs its errors and returns what it has."""
    errors = [str(result.error) for result in results.values() if result.error is not None]
    if errors or len(results) < wanted:
        reason = errors[0] if errors else "the log says why"
        raise UserError(
            f"Continuous batching of transformers finished {len(results) - len(errors)} of {wanted} "
            f"completions ({reason}): lower sampling.batch_size, or set rollout_engine to 'own'."
        )
