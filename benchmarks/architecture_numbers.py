"""Does what the project computes with a model agree with the model's own plain passes?

Each check gives the sentence of the first thing that is wrong, or "". They use other code than the
preflight checks of the recipes: rows one by one, with nothing but token ids.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.architecture_models import plain_load, plain_logits, weights_tied
from training.core.data.conversations import Encoded
from training.core.data.sequences import pack_sequences
from training.core.data.tokenizers import turn_end_id
from training.core.model.actor_critic import response_logits
from training.core.model.loading import LoadedModel, policy_load_path
from training.core.model.logprobs import token_log_probs
from training.core.model.supervised import assistant_loss
from training.core.reward.forward import score_rows
from training.core.rollout.decoding import decoder_open

__all__ = [
    "TOLERANCE",
    "apart",
    "policy_numbers",
    "probe_rows",
    "reload_numbers",
    "reward_numbers",
    "scores_of",
]

TOLERANCE = 5e-4
Rows = list[list[int]]


def probe_rows(words: int, lengths: Sequence[int]) -> Rows:
    """Rows of ordinary token ids; every length once."""
    draw = random.Random(3)
    return [[draw.randrange(8, words) for _ in range(length)] for length in lengths]


def apart(found: Tensor, wanted: Tensor) -> float:
    """The largest difference; infinite where one is not a finite number."""
    error = float((found - wanted).abs().max())
    return error if error == error else float("inf")


def policy_numbers(path: Path) -> str:
    """Log-probabilities of training, of scoring and of sampling, and causality."""
    plain, loaded = plain_load(path), policy_load_path(path)
    loaded.model.eval()
    words = min(len(loaded.tokenizer), loaded.model.get_input_embeddings().num_embeddings)
    prompts, responses = probe_rows(words, (21, 7, 34)), probe_rows(words, (6, 5, 4))
    whole = [p + r for p, r in zip(prompts, responses, strict=True)]
    own = [logits.log_softmax(-1) for logits in plain_logits(plain, whole)]
    if not all(bool(torch.isfinite(table).all()) for table in own):
        return "its plain logits are not finite"
    checks = (
        ("what stands later changes what stands before", _later_shows(plain, whole, own)),
        ("left-padded log-probabilities are off", _left_padded(loaded, prompts, responses, own)),
        ("right-padded losses are off", _right_padded(loaded, prompts, responses, own)),
        ("the sampler's log-probabilities are off", _sampled(loaded, prompts, responses, own)),
    )
    wrong = [f"{what} by {error:.2g}" for what, error in checks if not error <= TOLERANCE]
    return "; ".join(wrong)


def _later_shows(plain: Any, whole: Rows, own: Sequence[Tensor]) -> float:
    """How far the last token's logits of a row cut short are from those of the whole row."""
    short = plain_logits(plain, [row[:-3] for row in whole])
    errors = [apart(s[-1].log_softmax(-1), o[len(s) - 1]) for s, o in zip(short, own, strict=True)]
    return max(errors)


def _taken(own: Tensor, prompt: list[int], response: list[int]) -> Tensor:
    """Log-probabilities [R] of a response from the table [P + R, V] of its row."""
    places = torch.arange(len(prompt) - 1, len(prompt) + len(response) - 1)
    return own[places, torch.tensor(response)]


@torch.no_grad()
def _left_padded(
    loaded: LoadedModel, prompts: Rows, responses: Rows, own: Sequence[Tensor]
) -> float:
    batch = pack_sequences(prompts, responses, pad_id=loaded.pad_id, device=torch.device("cpu"))
    found = token_log_probs(response_logits(loaded.model, batch), batch.responses)
    wanted = [_taken(*row) for row in zip(own, prompts, responses, strict=True)]
    return max(apart(found[i][batch.mask[i]], row) for i, row in enumerate(wanted))


@torch.no_grad()
def _right_padded(
    loaded: LoadedModel, prompts: Rows, responses: Rows, own: Sequence[Tensor]
) -> float:
    errors = []
    for kept in range(len(prompts)):  # one row's tokens count, the others are its neighbours
        rows = [
            Encoded((*p, *r), (False,) * len(p) + (i == kept,) * len(r))
            for i, (p, r) in enumerate(zip(prompts, responses, strict=True))
        ]
        wanted = -_taken(own[kept], prompts[kept], responses[kept]).sum()
        errors.append(apart(assistant_loss(loaded.model, rows, loaded.pad_id).total, wanted))
    return max(errors)


@torch.inference_mode()
def _sampled(loaded: LoadedModel, prompts: Rows, responses: Rows, own: Sequence[Tensor]) -> float:
    """The tables of the cached sampler, step by step; a row leaves on the way."""
    width, steps = max(map(len, prompts)), min(map(len, responses))
    ids = torch.tensor([[loaded.pad_id] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[False] * (width - len(p)) + [True] * (len(p) + steps) for p in prompts])
    places = (mask[:, :width].long().cumsum(-1) - 1).clamp_min(0)
    decoder = decoder_open(loaded.model, room=width + steps)
    found, rows, error = decoder.begin(ids, mask[:, :width], places), list(range(len(prompts))), 0.0
    places = places[:, -1:]
    for step in range(steps):
        table = found.float().log_softmax(-1)
        wanted = torch.stack([own[row][len(prompts[row]) - 1 + step] for row in rows])
        error = max(error, apart(table, wanted))
        if step == 1 and decoder.rows_leave:
            kept = torch.tensor([0, 2])
            decoder.keep(kept)
            rows, mask, places = [rows[i] for i in kept], mask[kept], places[kept]
        if step + 1 < steps:
            tokens, places = torch.tensor([responses[row][step] for row in rows]), places + 1
            found = decoder.step(tokens, mask[:, : width + step + 1], places)
    return error


@torch.no_grad()
def reward_numbers(loaded: LoadedModel) -> str:
    """Scores alone, beside others and padded are the model's plain ones, and see the whole text."""
    model, end = loaded.model.eval(), turn_end_id(loaded.tokenizer)
    words = min(len(loaded.tokenizer), model.get_input_embeddings().num_embeddings)
    rows = [[*row, end] for row in probe_rows(words, (9, 40, 21))]
    plain = torch.stack([model(input_ids=torch.tensor([row])).logits[0, 0] for row in rows]).float()
    together = score_rows(model, rows, loaded.pad_id)
    error = apart(together, plain)
    if not error <= TOLERANCE:
        return f"scores in a batch are off by {error:.2g}"
    short = rows[0]
    halves = {"first": [9] * 4 + short[4:], "last": [*short[:5], *[9] * 4, end]}
    for name, other in halves.items():
        if apart(score_rows(model, [other], loaded.pad_id), together[:1]) == 0:
            return f"the {name} half of a text does not show in its score"
    return ""


@torch.no_grad()
def scores_of(loaded: LoadedModel, rows: Rows) -> Tensor:
    """Scores [N] of rows that end as texts do."""
    end = turn_end_id(loaded.tokenizer)
    ended = [[*row, end] for row in rows]
    return score_rows(loaded.model.eval(), ended, loaded.pad_id)


def reload_numbers(path: Path, rows: Rows, before: Sequence[Tensor], *, tied: bool) -> str:
    """A written policy against the logits that it had in memory."""
    model = plain_load(path)
    error = max(apart(a, b) for a, b in zip(plain_logits(model, rows), before, strict=True))
    if not error <= TOLERANCE:
        return f"the artifact's logits are off by {error:.2g}"
    return "" if weights_tied(model) == tied else "the artifact's weights are tied otherwise"
