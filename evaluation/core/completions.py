"""Draw the completions that a policy is judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from annotation.rows import PromptRow
from training.contracts import Sampling
from training.core.data.fitting import row_named
from training.core.data.tokenizers import decode, prompt_encode
from training.core.data.truncation import FittedPrompt, prompt_fit
from training.core.model.loading import LoadedModel
from training.core.rollout.generation import generate

__all__ = ["DrawnCompletion", "completion_seed", "completions_draw"]


@dataclass(frozen=True)
class DrawnCompletion:
    """One completion; `response` holds every drawn token, `tokens` those of the text alone.

    `prompt_cut`: the prompt was longer than it may be.
    """

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    tokens: tuple[int, ...]
    text: str
    ended: bool
    seed: int
    prompt_cut: bool = False


def completion_seed(seed: int, prompt_id: str, sample: int) -> int:
    """63 bits that depend on the run's seed, the prompt and the sample, and on nothing else."""
    digest = hashlib.sha256(f"{seed}/{prompt_id}/{sample}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def completions_draw(
    policy: LoadedModel,
    prompts: Sequence[PromptRow],
    *,
    sampling: Sampling,
    samples_per_prompt: int,
    max_prompt_tokens: int,
    seed: int,
    first_sample: int = 0,
) -> list[DrawnCompletion]:
    """`samples_per_prompt` completions of each prompt, prompt by prompt, counted from `first_sample`:
    so further ones of a prompt are others than those that were drawn before.

    Long prompts lose their oldest turns. Policies with the same weights draw the same texts. Raises
    `UserError` with the id of a prompt that the chat template refuses.
    """
    fitted = [
        row_named(f"The prompt {row.id!r}", partial(_fitted, policy, max_prompt_tokens), row)
        for row in prompts
    ]
    fitted = [prompt for prompt in fitted for _ in range(samples_per_prompt)]
    ids = [prompt.ids for prompt in fitted]
    numbers = range(first_sample, first_sample + samples_per_prompt)
    seeds = [completion_seed(seed, row.id, i) for row in prompts for i in numbers]
    drawn = generate(
        policy.model,
        ids,
        seeds=seeds,
        sampling=sampling,
        pad_id=policy.pad_id,
        end_ids=policy.end_ids,
    )
    return [
        _completion(policy, fitted[i], drawn.response(i), bool(drawn.ended[i]), seeds[i])
        for i in range(len(fitted))
    ]


def _fitted(policy: LoadedModel, room: int, row: PromptRow) -> FittedPrompt:
    found = prompt_fit(
        lambda rest: prompt_encode(policy.tokenizer, rest), row.messages, room, "oldest_turns"
    )
    assert found is not None  # only "drop" gives none
    return found


def _completion(
    policy: LoadedModel, prompt: FittedPrompt, response: list[int], ended: bool, seed: int
) -> DrawnCompletion:
    tokens = response[:-1] if ended else response
    text = decode(policy.tokenizer, tokens)
    return DrawnCompletion(
        tuple(prompt.ids), tuple(response), tuple(tokens), text, ended, seed, prompt.cut
    )
