"""Hand-worked log-probabilities, and their gradient against that of the library."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from training.core.model import logprobs

close = torch.testing.assert_close


def test_log_probs_divide_logits_by_the_temperature() -> None:
    logits = tensor([[[0.0, math.log(3.0)]]])  # odds 1:3, at temperature 1/2 1:9
    result = logprobs.token_log_probs(logits, tensor([[1]]), temperature=0.5)
    close(result, tensor([[math.log(0.9)]]))


def test_log_probs_have_the_gradient_of_log_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logprobs, "CACHED_ELEMENTS", 22)  # three chunks, the last one short
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 11, generator=generator, requires_grad=True)
    tokens = torch.randint(0, 11, (2, 3), generator=generator)
    weights = torch.randn(2, 3, generator=generator)
    (ours,) = torch.autograd.grad(
        (weights * logprobs.token_log_probs(logits, tokens, temperature=0.7)).sum(), logits
    )
    table = (logits / 0.7).log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
    (plain,) = torch.autograd.grad((weights * table).sum(), logits)
    close(ours, plain)


def test_log_probs_of_half_precision_logits_come_in_fp32_with_a_half_gradient() -> None:
    logits = torch.zeros(1, 1, 4, dtype=torch.bfloat16, requires_grad=True)
    result = logprobs.token_log_probs(logits, tensor([[2]]))
    result.sum().backward()
    assert result.dtype == torch.float32
    close(result.detach(), tensor([[math.log(0.25)]]))
    close(logits.grad, tensor([[[-0.25, -0.25, 0.75, -0.25]]], dtype=torch.bfloat16))


def test_entropy_of_a_uniform_and_of_a_certain_choice() -> None:
    logits = tensor([[[0.0] * 4, [0.0, -math.inf, -math.inf, -math.inf]]])
    result = logprobs.token_statistics(logits, tensor([[0, 0]]), temperature=1.0)
    close(result.entropy, tensor([[math.log(4), 0.0]]))
    close(result.log_probs, tensor([[-math.log(4), 0.0]]))
