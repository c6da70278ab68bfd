"""Tokens per second of the sampling loop, against `generate` of transformers on the same model.

    python -m benchmarks.sampler_vs_generate [--short] [--sizes 1M 6M] [--batches 32 64 128 256]
    python -m benchmarks.sampler_vs_generate --bf16 --sizes 100M 1B      # on a GPU

Both sides draw 48 tokens at temperature 1 (`fixed`, no end token), or end where the policy ends
(`natural`, about 0.4 of 48 tokens; only tokens through the end token count), from left-padded prompts of
8-24 tokens, in one process, in turns. The limit: the matrix products of the tokens needed, at the
machine's measured rate; on a GPU also the bytes of the weights, read once a token of the longest text, at
the rate of a large copy. With `--bf16` the weights are in bf16 on both sides.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.peers import (
    Answer,
    Marks,
    MatmulRate,
    ratio,
    results_write,
    shown,
    summary,
    take_turns,
    versions,
)
from benchmarks.ppo_vs_trl import END, ON_A_CPU, SIZES, WIDTH, prepare
from training.contracts import Sampling
from training.core.data.batches import pad
from training.core.model.loading import LoadedModel, policy_load_path
from training.core.rollout.generation import generate

GOALS = {"1M": 2.0, "6M": 1.0, "100M": 1.0, "1B": 1.0}  # twice on tiny models, never slower


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    document: dict[str, Any] = {
        "versions": versions(None, ["torch", "transformers"]),
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "seed": arguments.seed,
        "bf16": arguments.bf16,
        "goals": GOALS,
        "rows": [],
    }
    with contextlib.ExitStack() as stack:
        work = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for size in arguments.sizes:
            prepare(work / size, size, arguments.seed)
            policy = policy_load_path(work / size / "policy")
            kind = torch.bfloat16 if arguments.bf16 else torch.float32
            policy.model.to("cuda" if torch.cuda.is_available() else "cpu", kind)
            for batch in arguments.batches:
                for natural in (False, True):
                    row = compare(policy, size, batch, natural, arguments)
                    document["rows"].append(row)
                    print(line(row), flush=True)
                    written = results_write("sampler_vs_generate", document, path=arguments.results)
    print(f"written to {written}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=ON_A_CPU)
    parser.add_argument("--bf16", action="store_true", help="weights in bf16 on both sides")
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="3 repeats")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.repeats = 3
    return arguments


def compare(
    policy: LoadedModel, size: str, batch: int, natural: bool, arguments: argparse.Namespace
) -> dict[str, Any]:
    rng = np.random.default_rng(arguments.seed)
    lengths = rng.integers(8, 25, size=batch)
    vocabulary = SIZES[size].vocabulary
    prompts = [rng.integers(3, vocabulary, size=length).tolist() for length in lengths]
    sides: dict[str, Callable[[], Answer]] = {
        "generate": lambda: timed(lambda: theirs(policy, prompts, natural)),
        "outerloop": lambda: timed(lambda: ours(policy, prompts, natural)),
    }
    for run in sides.values():  # warm up: allocators, thread pools, lazy imports
        run()
    rate = MatmulRate(arguments.threads)
    answers = take_turns(sides, repeats=arguments.repeats, each_turn=rate.measure)
    paces, cpu = (
        {name: [a["tokens"] / a[clock] for a in turns] for name, turns in answers.items()}
        for clock in ("seconds", "cpu_seconds")
    )
    tokens = statistics.mean(a["tokens"] for turns in answers.values() for a in turns) / batch
    needed = needed_operations(policy.model.config, float(lengths.mean()), tokens) / rate.best
    if rate.bytes_per_second:
        steps = max(a["steps"] for a in answers["outerloop"])
        weights = sum(p.numel() * p.element_size() for p in policy.model.parameters())
        needed = max(needed, weights * steps / rate.bytes_per_second / (tokens * batch))
    pace = statistics.median(paces["outerloop"])
    return {
        "size": size,
        "batch": batch,
        "lengths": "natural" if natural else "fixed",
        "tokens_per_text": round(tokens, 1),
        "generate_tokens_per_second": summary(paces["generate"]),
        "own_tokens_per_second": summary(paces["outerloop"]),
        "ratio": ratio(paces["outerloop"], paces["generate"]),
        "ratio_of_processor_time": ratio(cpu["outerloop"], cpu["generate"]),
        "goal": GOALS[size],
        "matmul_gflops": rate.to_json(),
        "own_share_of_limit": round(pace * needed, 3),
    }


def timed(run: Callable[[], tuple[int, int]]) -> Answer:
    """Of tokens drawn in so many steps."""
    marks = Marks()
    marks.note()
    tokens, steps = run()
    marks.note()
    return {
        "tokens": tokens,
        "steps": steps,
        **{clock: spans[0] for clock, spans in marks.to_json().items()},
    }


def ours(policy: LoadedModel, prompts: list[list[int]], natural: bool) -> tuple[int, int]:
    result = generate(
        policy.model,
        prompts,
        seeds=list(range(len(prompts))),
        sampling=Sampling(max_new_tokens=WIDTH, batch_size=len(prompts)),
        pad_id=policy.pad_id,
        end_ids=[END] if natural else [],
    )
    return int(result.lengths.sum()), int(result.lengths.max())


@torch.inference_mode()
def theirs(policy: LoadedModel, prompts: list[list[int]], natural: bool) -> tuple[int, int]:
    batch = pad(prompts, policy.pad_id, side="left")
    # The ends of the model's own generation config would come back for a None given here.
    policy.model.generation_config.eos_token_id = END if natural else None
    result = policy.model.generate(
        input_ids=batch.ids.to(policy.model.device),
        attention_mask=batch.mask.long().to(policy.model.device),
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=WIDTH,
        pad_token_id=policy.pad_id,
    )[:, batch.ids.shape[1] :]
    if not natural:
        return int(result.numel()), result.shape[1]
    ended = (result == END).long().cumsum(1)
    return int(((ended == 0) | ((ended == 1) & (result == END))).sum()), result.shape[1]


def needed_operations(config: Any, prompt: float, response: float) -> float:
    """Operations in matrix products per new token: 2 per weight for every token of prompt and
    response, the vocabulary's matrix for new tokens, 4 per layer, earlier token and channel."""
    hidden, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * hidden**2 + 3 * hidden * config.intermediate_size)
    total = prompt + response
    operations = 2 * weights * total + layers * 4 * hidden * total**2 / 2
    return float(operations + 2 * config.vocab_size * hidden * response) / response


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['size']:<4}batch {row['batch']:>4}  {row['lengths']:<8}{row['tokens_per_text']:>5.1f} tokens"
        f"  generate {shown(row['generate_tokens_per_second'], 0):>22}/s"
        f"  own {shown(row['own_tokens_per_second'], 0):>22}/s"
        f"  ratio {shown(row['ratio']):>18} (goal {row['goal']}, by processor time "
        f"{shown(row['ratio_of_processor_time'])})"
        f"  {row['own_share_of_limit']:.0%} of the limit"
    )


if __name__ == "__main__":
    main()
