"""Draw completions of a policy, and score them where reward models are given.

    accelerate launch -m training.recipes.sample_pairs RUN/spec.json [--token N]

Inputs: `policy`, `prompts`; optionally `reward_model` and `held_out_reward_model`. Artifact: the file
`completions` (completions.jsonl). Each completion has a seed of its own, made from the run's seed, the
prompt and its place, so the same order gives the same texts. A text that a prompt already has is drawn
again up to three times. `scores` holds the normalised combination under the name of the artifact, and
each member's as NAME/log_odds_0 and so on (`RewardModel.by_name`).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from accelerate import Accelerator

from annotation.rows import PromptRow
from training.contracts import AdapterConfig, MeasureConfig, SamplePairsConfig
from training.core.data.fitting import row_named
from training.core.data.json_lines import prompts_read
from training.core.data.tokenizers import decode, prompt_encode
from training.core.model.context import context_length
from training.core.model.loading import LoadedModel, policy_load_path
from training.core.reward.scoring import reward_model_load
from training.core.rollout.first_texts import FirstText, first_texts_check
from training.core.rollout.generation import generate
from training.core.rollout.model_checks import checks_pass, policy_checks
from training.core.run.errors import UserError
from training.core.run.run_directory import Run, recipe_main
from training.recipes.runtime import accelerator_open

REWARD_INPUTS = ("reward_model", "held_out_reward_model")
RESAMPLES = 3
_CHUNK = 8  # batches between two progress events


@dataclass
class Draw:
    """One completion: its prompt, its place among the prompt's completions, and what came out."""

    prompt: PromptRow
    place: int
    attempt: int = 0
    text: str = ""
    tokens: int = 0
    ended: bool = False
    padding: int = 0
    scores: dict[str, float] = field(default_factory=dict)

    def seed(self, run_seed: int) -> int:
        name = f"{run_seed}\n{self.prompt.id}\n{self.place}\n{self.attempt}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")

    def to_json(self, run_seed: int) -> dict[str, Any]:
        return {
            "text": self.text,
            "tokens": self.tokens,
            "ended": self.ended,
            "seed": self.seed(run_seed),
            "scores": self.scores,
        }


def _check(config: SamplePairsConfig, policy: LoadedModel, prompts: Sequence[PromptRow]) -> None:
    if config.completions_per_prompt < 1 or config.sampling.max_new_tokens < 1:
        raise UserError("completions_per_prompt and max_new_tokens must be at least 1.")
    if len({p.id for p in prompts}) < len(prompts):
        raise UserError("Two prompts have the same id; every prompt needs its own.")
    context = context_length(policy.model)
    for prompt in prompts:
        encode = partial(prompt_encode, policy.tokenizer)
        length = len(row_named(f"The prompt {prompt.id!r}", encode, prompt.messages))
        if context is not None and length + config.sampling.max_new_tokens > context:
            raise UserError(
                f"The prompt {prompt.id!r} has {length} tokens; with "
                f"{config.sampling.max_new_tokens} new ones it exceeds the policy's {context}."
            )


def _draw_all(
    run: Run[SamplePairsConfig], policy: LoadedModel, draws: Sequence[Draw], phase: str
) -> None:
    """Fill in the texts, in chunks that can be watched and cancelled."""
    chunk = run.config.sampling.batch_size * _CHUNK
    for start in range(0, len(draws), chunk):
        run.check_cancel()
        part = draws[start : start + chunk]
        _draw(policy, part, run)
        run.emit(phase, start + len(part), len(draws), {"ended": _share_ended(part)})


def _draw(policy: LoadedModel, draws: Sequence[Draw], run: Run[SamplePairsConfig]) -> None:
    result = generate(
        policy.model,
        [prompt_encode(policy.tokenizer, d.prompt.messages) for d in draws],
        seeds=[d.seed(run.spec.seed) for d in draws],
        sampling=run.config.sampling,
        pad_id=policy.pad_id,
        end_ids=policy.end_ids,
    )
    for row, draw in enumerate(draws):
        draw.text = decode(policy.tokenizer, result.response(row))
        draw.tokens = int(result.lengths[row])
        draw.ended = bool(result.ended[row])
        draw.padding = int((result.responses[row, : draw.tokens] == policy.pad_id).sum())


def _share_ended(draws: Sequence[Draw]) -> float:
    return sum(d.ended for d in draws) / max(1, len(draws))


def repeated(draws: Sequence[Draw]) -> list[Draw]:
    """The draws whose text an earlier draw of the same prompt already has."""
    seen: set[tuple[str, str]] = set()
    again = []
    for draw in draws:
        key = (draw.prompt.id, draw.text)
        if key in seen:
            again.append(draw)
        seen.add(key)
    return again


def _score_all(
    run: Run[SamplePairsConfig], draws: Sequence[Draw], accelerator: Accelerator
) -> None:
    conversations = [(d.prompt.messages, d.text) for d in draws]
    for name in REWARD_INPUTS:
        if name not in run.inputs:
            continue
        run.check_cancel()
        model = reward_model_load(run.inputs[name], device=accelerator.device)
        scores = model.score(conversations)
        for draw, named in zip(draws, model.by_name(name, scores), strict=True):
            draw.scores |= named
        run.emit("score", len(draws), len(draws), {name: float(scores.combined().mean())})


def main(run: Run[SamplePairsConfig]) -> None:
    accelerator = accelerator_open()
    if not run.main:  # one process draws; more would only have to agree on the order
        run.finish([], {})
        return
    prompts, policy = prompts_read(run.input("prompts")), policy_load_path(run.input("policy"))
    _check(run.config, policy, prompts)
    policy.model.to(accelerator.device)
    begun = [prompt_encode(policy.tokenizer, p.messages) for p in prompts[:4]]
    measure = MeasureConfig(sampling=run.config.sampling)
    checks_pass(policy_checks(policy, begun, measure, AdapterConfig()))
    draws = [Draw(p, i) for p in prompts for i in range(run.config.completions_per_prompt)]
    _draw_all(run, policy, draws, "sample")
    first_texts_check([FirstText(d.prompt.id, d.text, d.tokens, d.padding) for d in draws])
    for _ in range(RESAMPLES):
        again = repeated(draws)
        for draw in again:
            draw.attempt += 1
        _draw_all(run, policy, again, "resample")
    _score_all(run, draws, accelerator)
    _finish(run, prompts, draws)


def _finish(
    run: Run[SamplePairsConfig], prompts: Sequence[PromptRow], draws: Sequence[Draw]
) -> None:
    rows = {p.id: list[dict[str, Any]]() for p in prompts}
    for draw in draws:
        rows[draw.prompt.id].append(draw.to_json(run.spec.seed))
    lines = [
        json.dumps({"prompt_id": name, "completions": completions}, ensure_ascii=False)
        for name, completions in rows.items()
    ]
    content = "".join(line + "\n" for line in lines).encode()
    artifact = run.write_file("completions", "completions.jsonl", content)
    results = {
        "prompts": len(prompts),
        "completions": len(draws),
        "repeated": len(repeated(draws)),
        "ended_share": _share_ended(draws),
        "mean_tokens": sum(d.tokens for d in draws) / len(draws),
        "sampling": run.config.sampling.to_json(),
    }
    run.finish([artifact], results)


if __name__ == "__main__":
    sys.exit(recipe_main(main, "sample_pairs", SamplePairsConfig))
