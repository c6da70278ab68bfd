"""One pass forwards and backwards before anything is spent: does the loss mean what it should?

Losses are worked out on texts padded to one length, and models differ in what they make of padding. The
probe asks for the same loss alone and beside longer texts, and for gradients that are finite. It draws
nothing from the global random state, changes no weight, and keeps the gradients of small parameters only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from training.core.data.conversations import Encoded
from training.core.model.loading import LoadedModel
from training.core.model.supervised import assistant_loss
from training.core.reward.forward import score_rows
from training.core.run.errors import UserError

__all__ = ["check_policy_pass", "check_score_pass"]

TOLERANCE = 1e-3
"""Nats a token: sums of a batch are rounded in another order than those of a row."""
TEXTS, TOKENS = 4, 64


def check_policy_pass(policy: LoadedModel, texts: Sequence[Sequence[int]]) -> str:
    """The supervised loss of token rows, alone and together, and its gradients."""
    rows = [Encoded(tuple(t[:TOKENS]), (True,) * len(t[:TOKENS])) for t in texts if len(t) > 1]
    rows = sorted(rows, key=lambda row: len(row.ids))[:: max(1, len(rows) // TEXTS)][:TEXTS]
    if not rows:
        return "no text to try"
    with torch.random.fork_rng(), torch.enable_grad(), _words_of(policy.model) as words:
        together = assistant_loss(policy.model, rows, policy.pad_id)
        words = words[:1]  # of this pass alone
        with torch.no_grad():
            alone = [assistant_loss(policy.model, [row], policy.pad_id).total for row in rows]
        error = abs(float(together.total.detach()) - float(torch.stack(alone).sum()))
        if not error <= TOLERANCE * together.tokens:
            raise UserError(
                "The policy's loss on a text is another one beside a longer text (by"
                f" {error / together.tokens:.2g} nats a token): padding on the right is not masked; use a"
                " model that reads its attention mask."
            )
        _gradients_check(policy.model, together.total, words)
    return "the loss of a text is the same alone and padded, and has gradients"


def check_score_pass(loaded: LoadedModel, texts: Sequence[Encoded]) -> str:
    """The gradients of scores of texts."""
    with torch.random.fork_rng(), torch.enable_grad(), _words_of(loaded.model) as words:
        scores = score_rows(loaded.model, [text.ids for text in texts], loaded.pad_id)
        _gradients_check(loaded.model, scores.sum(), words)
    return "scores have gradients"


@contextmanager
def _words_of(model: Any) -> Iterator[list[Tensor]]:
    """The embedded texts of every pass within, where there is a gradient to them."""
    seen: list[Tensor] = []

    def note(_: nn.Module, __: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.requires_grad:
            seen.append(output)

    hook = model.get_input_embeddings().register_forward_hook(note)
    try:
        yield seen
    finally:
        hook.remove()


def _gradients_check(model: nn.Module, loss: Tensor, words: Sequence[Tensor]) -> None:
    """Vectors stand for the weights: their gradients take little room. Those of the embedded words have come
    through every layer, also where layers work out those of their own weights by themselves.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    asked = [*([p for p in trained if p.dim() <= 1] or trained), *words]
    found = [g for g in torch.autograd.grad(loss, asked, allow_unused=True) if g is not None]
    if not found:
        raise UserError(
            f"No gradient reaches the weights of {type(model).__name__}: it cannot be trained here."
        )
    if not all(bool(torch.isfinite(gradient).all()) for gradient in found):
        raise UserError(
            f"{type(model).__name__} has gradients that are not finite numbers on an ordinary text: its"
            " weights are damaged, or it computes in low precision."
        )
