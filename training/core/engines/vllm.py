"""vLLM in this very process, for policies and devices that it knows; vLLM is optional.

Weights travel as trainers with a colocated engine do it: `reload_weights` of its workers takes them
by their names in the checkpoint, before every rollout. That needs the engine in the process that
trains, VLLM_ENABLE_V1_MULTIPROCESSING=0, so that they are handed over and not pickled.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import torch

from training.contracts import Sampling
from training.core.model.loading import LoadedModel
from training.core.model.lora import merged_weights
from training.core.model.memory_estimate import shape_of
from training.core.rollout.engine import Sampled
from training.core.run.errors import UserError

__all__ = ["VllmEngine", "check_vllm"]

BLOCK = 128
"""The largest block of vLLM's caches: rooms are counted in whole blocks, and one more for each row."""


def check_vllm(*, processes: int) -> None:
    """Raise `UserError` where vLLM is missing, or would have to share its device with other processes."""
    if find_spec("vllm") is None:
        raise UserError(
            "rollout_engine is 'vllm', but the package vllm is not installed: install it beside torch "
            "(pip install vllm), or set rollout_engine to 'own' or 'transformers'."
        )
    if processes > 1:
        raise UserError(
            f"rollout_engine 'vllm' runs in one process, and {processes} were started: start one, or "
            "set rollout_engine to 'own' or 'transformers'."
        )


class VllmEngine:
    """An engine with the policy's architecture; it has no weights until the first rollout brings them."""

    def __init__(
        self, policy: LoadedModel, sampling: Sampling, *, dtype: str, prompt_tokens: int
    ) -> None:
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # a training run reports to nobody
        self._vllm: Any = import_module("vllm")
        self._policy, self._sampling = policy, sampling
        length = prompt_tokens + sampling.max_new_tokens
        with TemporaryDirectory() as directory:
            _write_configuration(policy.model, directory)
            self._engine = self._vllm.LLM(
                model=directory,
                load_format="dummy",
                skip_tokenizer_init=True,
                dtype=dtype,
                max_model_len=length,
                max_num_seqs=sampling.batch_size,
                kv_cache_memory_bytes=_cache_bytes(policy.model, sampling, dtype, length),
                # Its keys and values would outlive the weights that made them.
                enable_prefix_caching=False,
                logprobs_mode="processed_logprobs",  # after the temperature, as they are drawn
                enforce_eager=not torch.cuda.is_available(),
            )

    def sample(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> Sampled:
        weights = {"weights_iterator": merged_weights(self._policy.model)}
        self._engine.collective_rpc("reload_weights", kwargs=weights)
        outputs = self._engine.generate(
            [{"prompt_token_ids": list(prompt)} for prompt in prompts],
            [self._parameters(seed) for seed in seeds],
            use_tqdm=False,
        )
        drawn = [output.outputs[0] for output in outputs]
        responses = [list(one.token_ids) for one in drawn]
        ends = frozenset(self._policy.end_ids)
        return Sampled(
            responses=responses,
            ended=[response[-1] in ends for response in responses],
            log_probs=[
                [float(table[token].logprob) for token, table in zip(r, one.logprobs, strict=True)]
                for r, one in zip(responses, drawn, strict=True)
            ],
        )

    def _parameters(self, seed: int) -> Any:
        """`logprobs` 0 asks for the token that was drawn; ends are ours, not those of a configuration."""
        return self._vllm.SamplingParams(
            temperature=self._sampling.temperature,
            top_k=self._sampling.top_k,
            top_p=self._sampling.top_p,
            max_tokens=self._sampling.max_new_tokens,
            seed=seed,
            stop_token_ids=list(self._policy.end_ids),
            ignore_eos=True,
            logprobs=0,
            detokenize=False,
        )


def _write_configuration(model: Any, directory: str) -> None:
    """config.json alone tells vLLM what to build."""
    config = copy.deepcopy(model.config)
    config.architectures = [type(model).__name__]
    config.save_pretrained(directory)


def _cache_bytes(model: Any, sampling: Sampling, dtype: str, length: int) -> int:
    """Keys and values of a whole batch: by default vLLM takes nearly all the memory of a GPU."""
    shape = shape_of(model, speaks=True)
    tokens = sampling.batch_size * (-(-length // BLOCK) + 1) * BLOCK
    number: torch.dtype = getattr(torch, dtype)
    return 2 * shape.layers * shape.keys * tokens * number.itemsize
