"""The part of vLLM's documented interface that the engine uses, over a Hugging Face model.

Stands in where vllm is not installed. Like vLLM it builds the model from config.json alone, refuses a
weight that it does not know, draws each completion from its own seed, keeps the stop token, and says the
processed log-probability of each token; unlike vLLM it is slow and exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM


@dataclass(frozen=True)
class SamplingParams:
    temperature: float
    top_k: int
    top_p: float
    max_tokens: int
    seed: int
    stop_token_ids: list[int]
    ignore_eos: bool
    logprobs: int
    detokenize: bool


@dataclass(frozen=True)
class Logprob:
    logprob: float


@dataclass
class CompletionOutput:
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[dict[int, Logprob]] = field(default_factory=list)


@dataclass(frozen=True)
class RequestOutput:
    outputs: list[CompletionOutput]


class LLM:
    def __init__(self, *, model: str, load_format: str, dtype: str, **options: Any) -> None:
        assert load_format == "dummy"
        assert options["skip_tokenizer_init"]
        assert not options["enable_prefix_caching"]
        assert options["logprobs_mode"] == "processed_logprobs"
        assert options["kv_cache_memory_bytes"] > 0
        self._longest, self._rows = options["max_model_len"], options["max_num_seqs"]
        config = AutoConfig.from_pretrained(model)
        assert config.architectures
        self._model = AutoModelForCausalLM.from_config(config).to(getattr(torch, dtype)).eval()

    def collective_rpc(self, method: str, *, kwargs: dict[str, Any]) -> list[Any]:
        assert method == "reload_weights"
        self._load(kwargs["weights_iterator"])
        return [None]

    def _load(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        state = self._model.state_dict()
        missing = set(dict(self._model.named_parameters()))
        for name, weight in weights:
            state[name].copy_(weight)
            missing.discard(name)
        assert not missing

    def generate(
        self,
        prompts: list[dict[str, list[int]]],
        sampling_params: list[SamplingParams],
        *,
        use_tqdm: bool,
    ) -> list[RequestOutput]:
        pairs = zip(prompts, sampling_params, strict=True)
        return [RequestOutput([self._one(p["prompt_token_ids"], s)]) for p, s in pairs]

    @torch.inference_mode()
    def _one(self, prompt: list[int], wanted: SamplingParams) -> CompletionOutput:
        assert len(prompt) + wanted.max_tokens <= self._longest
        assert (wanted.top_k, wanted.top_p, wanted.logprobs) == (0, 1.0, 0)
        assert wanted.ignore_eos
        generator = torch.Generator().manual_seed(wanted.seed)
        done = CompletionOutput()
        while len(done.token_ids) < wanted.max_tokens:
            logits = self._model(torch.tensor([prompt + done.token_ids])).logits[0, -1].float()
            log_probs = (logits / wanted.temperature).log_softmax(-1)
            token = int(torch.multinomial(log_probs.exp(), 1, generator=generator))
            done.token_ids.append(token)
            done.logprobs.append({token: Logprob(float(log_probs[token]))})
            if token in wanted.stop_token_ids:
                break
        return done
