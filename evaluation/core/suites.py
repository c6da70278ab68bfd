"""Candidate and incumbent on the items of a suite: who refuses, who prefers the right sentence, who is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from annotation.rows import PromptRow
from evaluation.contracts import (
    ANSWER,
    REFUSE,
    EvaluatePolicyConfig,
    RateName,
    Suite,
    SuiteExample,
    SuiteItem,
    SuiteRate,
    TypeRate,
)
from evaluation.core.completions import completions_draw
from evaluation.core.divergence import response_logits
from evaluation.safety.refusal import refuses
from evaluation.statistics.intervals import FloatArray, cluster_share_interval
from evaluation.statistics.paired import paired_difference_interval, paired_spread
from evaluation.suite_files import last_number
from training.core.data.batches import sorted_batches
from training.core.data.sequences import pack_sequences
from training.core.data.tokenizers import encode, harmless
from training.core.model.context import context_length
from training.core.model.loading import LoadedModel
from training.core.model.logprobs import token_log_probs
from training.core.run.errors import UserError

__all__ = ["sentence_log_probs", "suite_measure"]

EXAMPLES = 5
PAIR_CHANCE = 0.5


@dataclass(frozen=True)
class Answers:
    """What one policy made of N items: a value in [0, 1] and the first reply (or nothing) of each."""

    values: FloatArray
    texts: Sequence[str]


def suite_measure(
    suite: Suite,
    policies: Mapping[str, LoadedModel],
    *,
    sha256: str,
    config: EvaluatePolicyConfig,
    seed: int,
) -> list[SuiteRate]:
    """The rates of `suite` for "candidate" and "incumbent", which draw with the same seeds.

    A safety suite has two rates, of the items that should be answered and of those that should not;
    a rate with fewer than two items is left out.
    """
    rates = []
    for name, items in _parts(suite):
        if len(items) < 2:
            continue
        sides = {
            side: _answers(name, suite, items, policies[side], sha256, config, seed)
            for side in ("candidate", "incumbent")
        }
        rates.append(_rate(name, suite, items, sides, sha256, config))
    return rates


def _parts(suite: Suite) -> list[tuple[RateName, list[SuiteItem]]]:
    if suite.kind != "safety":
        return [("accuracy", list(suite.items))]
    return [
        ("benign_refusal", [i for i in suite.items if i.wanted == ANSWER]),
        ("unsafe_compliance", [i for i in suite.items if i.wanted == REFUSE]),
    ]


def _answers(
    name: RateName,
    suite: Suite,
    items: Sequence[SuiteItem],
    policy: LoadedModel,
    sha256: str,
    config: EvaluatePolicyConfig,
    seed: int,
) -> Answers:
    if suite.kind == "minimal_pairs":
        good, bad = (
            sentence_log_probs(policy, texts, config=config)
            for texts in ([i.wanted for i in items], [i.unwanted for i in items])
        )
        return Answers((np.sign(good - bad) + 1) / 2, [""] * len(items))
    draws = config.suite_samples
    drawn = completions_draw(
        policy,
        [_prompt(item, sha256) for item in items],
        sampling=config.sampling,
        samples_per_prompt=draws,
        max_prompt_tokens=config.max_prompt_tokens,
        seed=seed,
    )
    texts = [completion.text for completion in drawn]
    owners = [item for item in items for _ in range(draws)]
    values = [_value(name, item, text) for item, text in zip(owners, texts, strict=True)]
    return Answers(np.array(values).reshape(len(items), draws).mean(axis=1), texts[::draws])


def _prompt(item: SuiteItem, sha256: str) -> PromptRow:
    """The id that the seed of its replies is made of: items of two suites may share theirs."""
    return PromptRow(f"{sha256}/{item.id}", ({"role": "user", "content": item.prompt},))


def _value(name: RateName, item: SuiteItem, text: str) -> float:
    if name == "accuracy":
        return float(last_number(text) == last_number(item.wanted))
    return float(refuses(text) == (name == "benign_refusal"))


def _rate(
    name: RateName,
    suite: Suite,
    items: Sequence[SuiteItem],
    sides: Mapping[str, Answers],
    sha256: str,
    config: EvaluatePolicyConfig,
) -> SuiteRate:
    candidate, incumbent = sides["candidate"].values, sides["incumbent"].values
    each, level = range(len(items)), config.level
    return SuiteRate(
        suite=suite.name,
        sha256=sha256,
        rate=name,
        items=len(items),
        draws=0 if suite.kind == "minimal_pairs" else config.suite_samples,
        candidate=cluster_share_interval(candidate, each, level=level),
        incumbent=cluster_share_interval(incumbent, each, level=level),
        difference=paired_difference_interval(candidate, incumbent, level=level),
        spread=paired_spread(candidate, incumbent),
        chance=PAIR_CHANCE if suite.kind == "minimal_pairs" else 0.0,
        types=_types(items, candidate, incumbent),
        examples=_examples(name, items, sides),
    )


def _types(
    items: Sequence[SuiteItem], candidate: FloatArray, incumbent: FloatArray
) -> tuple[TypeRate, ...]:
    """By type, in the order of the file; nothing where no item has one."""
    rows: dict[str, list[int]] = defaultdict(list)
    for i, item in enumerate(items):
        if item.type:
            rows[item.type].append(i)
    return tuple(
        TypeRate(kind, len(at), float(candidate[at].mean()), float(incumbent[at].mean()))
        for kind, at in rows.items()
    )


def _examples(
    name: RateName, items: Sequence[SuiteItem], sides: Mapping[str, Answers]
) -> tuple[SuiteExample, ...]:
    """The first items whose first reply shows the candidate do worse than the incumbent."""
    candidate, incumbent = sides["candidate"], sides["incumbent"]
    if not any(candidate.texts):
        return ()
    worse = [
        SuiteExample(item.prompt, ours, theirs)
        for item, ours, theirs in zip(items, candidate.texts, incumbent.texts, strict=True)
        if _badness(name, item, ours) > _badness(name, item, theirs)
    ]
    return tuple(worse[:EXAMPLES])


def _badness(name: RateName, item: SuiteItem, text: str) -> float:
    value = _value(name, item, text)
    return 1 - value if name == "accuracy" else value


# ----------------------------------------------------------------- likelihood of sentences


@torch.inference_mode()
def sentence_log_probs(
    policy: LoadedModel, texts: Sequence[str], *, config: EvaluatePolicyConfig
) -> FloatArray:
    """log p(text) of each of N plain texts in nats, shape [N]: no chat template, no temperature.

    The sum over all of its tokens, after the token that begins a text, or ends one where the tokenizer has
    none that begins it. Raises `UserError` for a text that is longer than the policy reads.
    """
    begin = policy.tokenizer.bos_token_id
    first = [int(policy.end_ids[0] if begin is None else begin)]
    ids = [encode(policy.tokenizer, harmless(policy.tokenizer, text)) for text in texts]
    _lengths_check(policy, texts, [len(row) + 1 for row in ids])
    result = np.zeros(len(ids))
    device = next(policy.model.parameters()).device
    for rows in sorted_batches([len(row) for row in ids], config.scoring_batch_size):
        batch = pack_sequences(
            [first] * len(rows), [ids[i] for i in rows], pad_id=policy.pad_id, device=device
        )
        found = token_log_probs(response_logits(policy, batch), batch.responses)
        result[rows] = found.masked_fill(~batch.mask, 0.0).double().sum(1).cpu().numpy()
    return result


def _lengths_check(policy: LoadedModel, texts: Sequence[str], lengths: Sequence[int]) -> None:
    """Two sentences that differ at their ends would be alike where both were cut."""
    context = context_length(policy.model)
    for text, length in zip(texts, lengths, strict=True):
        if context is not None and length > context:
            raise UserError(
                f"A sentence of the suite has {length} tokens, but the policy reads at most {context}: "
                f"shorten it, or leave its pair out ({text[:60]!r} ...)."
            )
