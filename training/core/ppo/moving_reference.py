"""A reference that follows the policy: the KL price then holds back a step, not the whole way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from training.core.data.sequences import length_buckets, pack_sequences, pass_overhead
from training.core.model.actor_critic import response_logits
from training.core.model.logprobs import token_log_probs
from training.core.model.shared_base import network_view
from training.core.rollout.episodes import Episodes

__all__ = ["MovingReference"]


@dataclass(frozen=True)
class MovingReference:
    """The exponential moving average of the policies so far, which begins as the first of them.

    Xu 2024 (arXiv 2404.10719, section 6) let PPO's reference move so. Only the price is asked by it: what is
    measured, budgeted and judged stays the KL to the fixed reference.
    """

    model: Any
    decay: float
    trained: tuple[
        str, ...
    ]  # names of the weights that move; the others are those of the policy for ever

    @classmethod
    def beside(cls, policy: nn.Module, decay: float) -> Self:
        trained = tuple(n for n, parameter in policy.named_parameters() if parameter.requires_grad)
        copied = network_view(policy).eval().requires_grad_(False)
        # A layer that is recomputed would go forward as the policy's.
        for module in copied.modules():
            vars(module).pop("forward", None)
        return cls(copied, decay, trained)

    def _moving(self, network: nn.Module) -> list[nn.Parameter]:
        own = dict(network.named_parameters())
        return [own[name] for name in self.trained]

    @torch.no_grad()
    def follow(self, policy: nn.Module) -> None:
        """reference <- decay * reference + (1 - decay) * policy, for the weights that are trained."""
        for own, new in zip(self._moving(self.model), self._moving(policy), strict=True):
            own.lerp_(new, 1 - self.decay)

    def weights(self) -> list[Tensor]:
        """What a checkpoint keeps of it."""
        return [parameter.cpu().clone() for parameter in self._moving(self.model)]

    @torch.no_grad()
    def restore(self, weights: list[Tensor]) -> None:
        for parameter, weight in zip(self._moving(self.model), weights, strict=True):
            parameter.copy_(weight)

    @torch.inference_mode()
    def log_probs(
        self, episodes: Episodes, *, temperature: float, pad_id: int, batch_size: int
    ) -> Tensor:
        """Of every response token, [B, R] in fp32, 0 outside the mask."""
        device = next(self.model.parameters()).device
        mask = episodes.response_mask(device)
        table = torch.zeros(mask.shape, device=device)
        for bucket in length_buckets(
            episodes.lengths(), size=batch_size, packed=False, overhead=pass_overhead(device)
        ):
            batch = pack_sequences(
                [episodes.prompts[row] for row in bucket],
                [episodes.responses[row] for row in bucket],
                pad_id=pad_id,
                device=device,
            )
            logits = response_logits(self.model, batch)
            found = token_log_probs(logits, batch.responses, temperature=temperature)
            rows = torch.tensor(bucket, device=device)
            table[rows, -batch.mask.shape[1] :] = found.masked_fill(~batch.mask, 0)
        return table
