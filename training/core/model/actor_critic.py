"""The trained networks behind one forward pass: a policy, and a value for every response token."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.core.data.conversations import Encoded
from training.core.data.sequences import SequenceBatch
from training.core.model.logprobs import token_log_probs
from training.core.model.lora import trainable_parameters
from training.core.model.score_head import head_of
from training.core.model.supervised import TokenLoss, assistant_loss
from training.core.packed.llama import PackedRows, pack_rows, packable, packed_hidden, packed_logits

__all__ = ["ActorCritic", "Evaluation", "backbone_of", "response_logits"]


class Evaluation(NamedTuple):
    """Both [B, R] in fp32: log-probabilities of the response tokens, and values before them."""

    log_probs: Tensor
    values: Tensor


def _arguments(batch: SequenceBatch) -> dict[str, Any]:
    return {
        "input_ids": batch.input_ids,
        "attention_mask": batch.attention_mask,
        "position_ids": batch.position_ids,
        "use_cache": False,
    }


def response_logits(model: Any, batch: SequenceBatch, *, packed: bool = False) -> Tensor:
    """Logits [B, R, V] for the response tokens; no other row of the vocabulary table is computed.

    `packed`: from real tokens only, 0 outside the mask, where the model is a plain Llama.
    """
    if packed and packable(getattr(model, "model", None)):
        rows = pack_rows(batch.input_ids, batch.attention_mask)
        return _table(packed_logits(model, rows, _wanted(rows, batch)), batch)
    keep = batch.responses.shape[1] + 1
    return cast(Tensor, model(**_arguments(batch), logits_to_keep=keep).logits[:, :-1])


def _wanted(rows: PackedRows, batch: SequenceBatch) -> Tensor:
    """The tokens [M] before the M response tokens, which tell their probabilities and values."""
    width = batch.responses.shape[1]
    return rows.numbers[:, -width - 1 : -1][batch.mask]


def _table(entries: Tensor, batch: SequenceBatch) -> Tensor:
    """[M] or [M, V] for the response tokens -> [B, R] or [B, R, V], 0 outside the mask."""
    table = entries.new_zeros(*batch.mask.shape, *entries.shape[1:])
    return table.masked_scatter(
        batch.mask if entries.dim() == 1 else batch.mask[..., None], entries
    )


class ActorCritic(nn.Module):
    """A causal language model and a critic: a network of its own, a head on the policy, or none.

    Without a critic every value is 0. The networks stay in evaluation mode for ever: PPO compares
    probabilities of two passes, and dropout, in modules or in functions, would make them differ without
    any learning.
    """

    forward_methods: ClassVar = ("imitation",)

    def __init__(self, policy: Any, *, critic: Any | None, head: nn.Linear | None) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic
        self.head: Any = head
        self.packed = False
        self.eval()

    @classmethod
    def alone(cls, policy: Any) -> Self:
        """No critic: completions are compared with one another, or with their mean."""
        return cls(policy, critic=None, head=None)

    @classmethod
    def shared(cls, policy: Any) -> Self:
        """The critic reads the policy's last hidden state; its head starts at 0."""
        return cls(policy, critic=None, head=_zero_head(policy))

    @classmethod
    def separate(cls, policy: Any, *, critic: Any | None = None) -> Self:
        """The critic is a copy of the policy's backbone, or `critic`; its head starts at 0."""
        own = copy.deepcopy(backbone_of(policy)) if critic is None else critic
        return cls(policy, critic=own, head=_zero_head(policy))

    @classmethod
    def from_reward_model(cls, policy: Any, reward_model: Any, *, mean: float, std: float) -> Self:
        """The critic starts as a reward model, head included, on the scale of normalised scores.

        `reward_model` is a one-output sequence classifier; (w h + b - mean) / std becomes the head.
        """
        old = head_of(reward_model)
        bias = 0.0 if old.bias is None else float(old.bias)
        head = _zero_head(policy, width=old.in_features)
        with torch.no_grad():
            head.weight.copy_(old.weight.float() / std)
            head.bias.fill_((bias - mean) / std)
        return cls(policy, critic=reward_model.base_model, head=head)

    def pack(self) -> None:
        """From now on compute real tokens only, if both networks are plain Llamas."""
        backbones = [getattr(self.policy, "model", None), self.critic]
        self.packed = all(packable(b) for b in backbones if b is not None)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whoever asks."""
        return super().train(False)

    def forward(self, batch: SequenceBatch, *, temperature: float) -> Evaluation:
        """Log-probabilities at `temperature` and values, with gradients."""
        if self.packed:
            own, hidden = self._packed_states(batch)
            entries = functional.linear(own, self.policy.lm_head.weight)
            taken = token_log_probs(entries, batch.responses[batch.mask], temperature=temperature)
            return Evaluation(_table(taken, batch), _table(self._values_of(hidden), batch))
        logits, values = self.logits_and_values(batch)
        log_probs = token_log_probs(logits, batch.responses, temperature=temperature)
        return Evaluation(log_probs, values)

    def logits_and_values(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Logits [B, R, V] and values [B, R]; one pass where the backbone is shared."""
        keep = batch.responses.shape[1] + 1
        if self.packed:
            own, hidden = self._packed_states(batch)
            logits = functional.linear(own, self.policy.lm_head.weight)
            return _table(logits, batch), _table(self._values_of(hidden), batch)
        if self.head is None:
            logits = response_logits(self.policy, batch)
            return logits, torch.zeros(batch.mask.shape, device=logits.device)
        if self.critic is None:
            arguments = _arguments(batch) | {"output_hidden_states": True}
            result = self.policy(**arguments, logits_to_keep=keep)
            return result.logits[:, :-1], self._values(result.hidden_states[-1], keep)
        hidden = self.critic(**_arguments(batch)).last_hidden_state
        return response_logits(self.policy, batch), self._values(hidden, keep)

    def _packed_states(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Last hidden states of policy and critic, twice [M, H], before each response token."""
        rows = pack_rows(batch.input_ids, batch.attention_mask)
        wanted = _wanted(rows, batch)
        own = packed_hidden(self.policy.model, rows, wanted)
        return own, own if self.critic is None else packed_hidden(self.critic, rows, wanted)

    def _values(self, hidden: Tensor, keep: int) -> Tensor:
        return self._values_of(hidden[:, -keep:-1])

    def _values_of(self, hidden: Tensor) -> Tensor:
        """In the head's own precision, as autocast would round values to 8 bits, and returns with them."""
        if self.head is None:
            return torch.zeros(hidden.shape[:-1], device=hidden.device)
        with torch.autocast(hidden.device.type, enabled=False):
            return cast(Tensor, self.head(hidden.to(self.head.weight.dtype)))[..., 0].float()

    def imitation(self, batch: Sequence[Encoded], pad_id: int) -> TokenLoss:
        """The policy's loss on demonstrations (PPO-ptx), with gradients."""
        return assistant_loss(self.policy, batch, pad_id)

    def policy_parameters(self) -> list[nn.Parameter]:
        """What is trained of the policy: all of it, or its adapter."""
        return trainable_parameters(self.policy)

    def value_parameters(self) -> list[nn.Parameter]:
        critic = [] if self.critic is None else trainable_parameters(self.critic)
        return [*critic, *([] if self.head is None else self.head.parameters())]


def backbone_of(policy: Any) -> Any:
    """The policy without its output layer, also where its class names that part otherwise (Llama 4)."""
    return policy.model if policy.base_model is policy else policy.base_model


def _zero_head(policy: Any, *, width: int | None = None) -> nn.Linear:
    size = width if width is not None else int(policy.config.get_text_config().hidden_size)
    parameter = next(policy.parameters())
    head = nn.Linear(size, 1, device=parameter.device, dtype=torch.float32)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head
