"""One pass forwards and backwards: what it finds, and that it leaves the model and the random state alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.documented import assert_said
from tests.support.own_models import decoder_write
from training.contracts import AdapterConfig, ModelSource
from training.core.data.conversations import Encoded
from training.core.model.loading import LoadedModel, classifier_load, policy_load_path
from training.core.rollout.model_checks import (
    backbone_checks,
    checks_pass,
    policy_checks,
    probe_config,
)
from training.core.rollout.training_pass import check_policy_pass, check_score_pass
from training.core.run.errors import UserError

TEXTS = [[5, 9, 12, 30], [6, 11], [40, 41, 9, 4, 12, 12, 30], [7, 8]]


@pytest.fixture
def policy(tmp_path: Path) -> LoadedModel:
    return policy_load_path(decoder_write(tmp_path / "llama", "llama"))


def changed(policy: LoadedModel, change: Callable[[Any, dict[str, Any]], Any]) -> LoadedModel:
    """The policy with `change(output, arguments)` as its output."""
    plain = policy.model.forward

    def forward(**arguments: Any) -> Any:
        return change(plain(**arguments), arguments)

    policy.model.forward = forward
    return policy


def test_a_sound_policy_passes_and_nothing_of_it_changes(policy: LoadedModel) -> None:
    weights = {name: p.detach().clone() for name, p in policy.model.named_parameters()}
    random = torch.get_rng_state()
    assert "gradients" in check_policy_pass(policy, TEXTS)
    assert torch.equal(torch.get_rng_state(), random)
    for name, parameter in policy.model.named_parameters():
        assert torch.equal(parameter, weights[name])
        assert parameter.grad is None


def test_padding_that_shows_in_a_loss_is_found(policy: LoadedModel) -> None:
    def leak(output: Any, arguments: dict[str, Any]) -> Any:
        output.logits = output.logits * (1 + 0.1 * arguments["input_ids"].shape[1])
        return output

    with pytest.raises(UserError) as refusal:
        check_policy_pass(changed(policy, leak), TEXTS)
    assert_said("padding that shows in a loss", str(refusal.value))


def test_weights_that_no_gradient_reaches_are_found(policy: LoadedModel) -> None:
    def cut(output: Any, _: dict[str, Any]) -> Any:
        output.logits = output.logits.detach().requires_grad_()
        return output

    with pytest.raises(UserError) as refusal:
        check_policy_pass(changed(policy, cut), TEXTS)
    assert_said("weights that cannot learn", str(refusal.value))


def test_gradients_that_are_not_finite_are_found(policy: LoadedModel) -> None:
    def steep(output: Any, _: dict[str, Any]) -> Any:
        zeros = output.logits - output.logits.detach()
        output.logits = output.logits.detach() + zeros.sqrt()  # 0, with an infinite slope
        return output

    with pytest.raises(UserError) as refusal:
        check_policy_pass(changed(policy, steep), TEXTS)
    assert_said("gradients that are not finite", str(refusal.value))


def test_what_an_architecture_s_own_code_raises_is_told_in_a_sentence(policy: LoadedModel) -> None:
    def fail(_: Any, __: dict[str, Any]) -> Any:
        raise AssertionError("only with a language\nand more")

    broken = changed(policy, fail)
    checks = policy_checks(broken, TEXTS, probe_config(), AdapterConfig())
    with pytest.raises(UserError) as refusal:
        checks_pass(checks)
    assert_said("an architecture that fails", str(refusal.value))
    assert "training pass: only with a language)" in str(refusal.value)


def test_memory_that_is_full_stays_what_it_is(policy: LoadedModel) -> None:
    def full(_: Any, __: dict[str, Any]) -> Any:
        raise MemoryError

    checks = policy_checks(changed(policy, full), TEXTS, probe_config(), AdapterConfig())
    with pytest.raises(MemoryError):
        checks_pass(checks)


def test_scores_without_a_gradient_are_found(policy: LoadedModel) -> None:
    texts = [Encoded(tuple(text), (False,) * len(text)) for text in TEXTS]

    def flat(output: Any, arguments: dict[str, Any]) -> Any:
        output.logits = torch.ones(len(arguments["input_ids"]), 1, requires_grad=True)
        return output

    with pytest.raises(UserError, match="No gradient reaches"):
        check_score_pass(changed(policy, flat), texts)


def test_a_backbone_that_reads_half_a_text_is_found(tmp_path: Path) -> None:
    path = decoder_write(tmp_path / "llama", "llama")
    loaded = classifier_load(ModelSource(kind="pretrained", name=str(path)), {})
    checks_pass(backbone_checks(loaded, max_length=64))
    plain = loaded.model.forward

    def first_word(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        return plain(input_ids=input_ids[:, :1], attention_mask=attention_mask[:, :1])

    loaded.model.forward = first_word
    with pytest.raises(UserError) as refusal:
        checks_pass(backbone_checks(loaded, max_length=64))
    assert_said("a text that is not read", str(refusal.value))
    assert "second half" in str(refusal.value)
