"""Seconds per PPO update, this recipe against `trl==1.12.0` (`trl.experimental.ppo`), in turns.

    python -m benchmarks.ppo_vs_trl [--short] [--sizes 1M 6M] [--repeats 3] [--threads 2]
    python -m benchmarks.ppo_vs_trl --bf16 --sizes 100M 1B      # on a GPU

Arms, each with the same models, prompts, batch (64), epochs (4) and mini-batches (4):

a   four separate models, every response 48 tokens long
b   the same models, responses end where the policy ends them (at most 48 tokens)
c   as b, with one backbone for policy and value: another architecture, and labelled so

The policy is trained briefly on texts of log-normal length, so that it has learned to end them. One
update is measured from the end of the one before; the first of every run warms up and is left out.
Both sides run in processes of their own with the same packages and as many threads. With `--bf16` both
compute in mixed precision, and TRL's frozen networks are loaded in bf16.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.nn import functional
from transformers import (
    AutoConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)

from benchmarks.peers import (
    Answer,
    MatmulRate,
    Side,
    peer_python,
    ratio,
    results_write,
    shown,
    summary,
    take_turns,
    versions,
)
from training.contracts import KlControl, PpoConfig, Sampling
from training.core.reward.scoring import SETTINGS as ENSEMBLE
from training.core.reward.scoring import EnsembleSettings, MemberSettings


class Size(NamedTuple):
    hidden: int
    layers: int
    heads: int
    vocabulary: int = 2048


SIZES = {
    "1M": Size(128, 4, 4),
    "6M": Size(256, 6, 4),
    "100M": Size(768, 12, 12, 32_000),
    "1B": Size(2048, 16, 32, 32_000),
}
ON_A_CPU = ["1M", "6M"]
WIDTH, END = 48, 1
GOALS = {"a": 1.5, "b": 2.5, "c": 4.0}
TEMPLATE = (
    "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %} <eos> {% endif %}"
    "{% if m.role == 'user' %} {% endif %}{% endfor %}"
)
CONFIG = PpoConfig(
    prompts_per_update=64,
    epochs=4,
    mini_batches=4,
    micro_batch_size=64,
    packed=True,
    policy_learning_rate=1e-5,
    value_learning_rate=1e-5,
    missing_eos_penalty=0.0,
    kl=KlControl(beta=0.05),
    sampling=Sampling(max_new_tokens=WIDTH),
    checkpoint_every=10_000,
    evaluate_every=10_000,
)


def main() -> None:
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    python = peer_python("trl-1.12.0", ["trl==1.12.0"], site=arguments.peer_site)
    packages = ["trl", "torch", "transformers", "accelerate", "numpy"]
    document: dict[str, Any] = {
        "versions": versions(python, packages, site=arguments.peer_site),
        "bf16": arguments.bf16,
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "seed": arguments.seed,
        "config": CONFIG.to_json(),
        "goals": GOALS,
        "sizes": {},
    }
    for size in arguments.sizes:
        with contextlib.ExitStack() as stack:
            work = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
            document["sizes"][size] = compare(size, work / size, python, arguments)
        print(table(size, document["sizes"][size]), flush=True)
        written = results_write("ppo_vs_trl", document, path=arguments.results)
    print(f"written to {written}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES), default=ON_A_CPU)
    parser.add_argument("--bf16", action="store_true", help="mixed precision on both sides")
    parser.add_argument("--peer-site", type=Path, help="a folder that holds the peer")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--updates", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--short", action="store_true", help="3 repeats of 3 updates")
    parser.add_argument("--arms", nargs="+", choices=list(GOALS), default=list(GOALS))
    parser.add_argument("--keep", type=Path, help="keep the models here, and use what is there")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.repeats, arguments.updates = 3, 3
    return arguments


# ------------------------------------------------------------------------------ inputs


def prepare(work: Path, size: str, seed: int) -> None:
    """The policy, the reward model in the layout of an artifact, and 256 prompts of 8-24 words."""
    if (work / "prompts.jsonl").exists():
        return
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    hidden, layers, heads, vocabulary = SIZES[size]
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=hidden * 3,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
        max_position_embeddings=512, tie_word_embeddings=True, pad_token_id=0, eos_token_id=END,
        bos_token_id=None, num_labels=1,
    )  # fmt: skip
    print(f"teaching the {size} policy to end its texts ...", file=sys.stderr)
    tokenizer = tokenizer_make(vocabulary)
    member = work / "reward_model" / "member_0"
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        policy = LlamaForCausalLM(config)
        teach_to_end(policy, rng)
        judge = LlamaForSequenceClassification(config)
    for model, path in ((policy, work / "policy"), (judge, member)):
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    settings = EnsembleSettings((MemberSettings("member_0", 0.0, 1.0),), max_length=512)
    (work / "reward_model" / ENSEMBLE).write_text(json.dumps(settings.to_json()))
    lines = []
    for number in range(CONFIG.prompts_per_update * 4):
        text = " ".join(f"w{i}" for i in rng.integers(0, vocabulary - 3, size=rng.integers(8, 25)))
        row = {"id": str(number), "messages": [{"role": "user", "content": text}]}
        lines.append(json.dumps(row | {"group": str(number)}))
    (work / "prompts.jsonl").write_text("\n".join(lines) + "\n")


def teach_to_end(policy: LlamaForCausalLM, rng: np.random.Generator, steps: int = 60) -> None:
    """Random words with an end after a log-normal number of them (median 16, sigma 0.6)."""
    vocabulary, device = policy.config.vocab_size, policy.device
    rate = 2e-3 * min(1.0, 256 / policy.config.hidden_size)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=rate, fused=True)
    for _ in range(steps):
        lengths = np.clip(rng.lognormal(np.log(16), 0.6, size=32).astype(int), 1, WIDTH - 1)
        words = rng.integers(3, vocabulary, size=(32, 8 + lengths.max() + 1))
        ids = torch.from_numpy(words).to(device)
        labels = ids.clone()
        labels[:, :8] = -100
        for row, length in enumerate(lengths + 8):
            ids[row, length] = labels[row, length] = END
            labels[row, length + 1 :] = -100
        logits = policy(input_ids=ids).logits[:, :-1]
        loss = functional.cross_entropy(
            logits.reshape(-1, vocabulary), labels[:, 1:].reshape(-1), ignore_index=-100
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()


def tokenizer_make(size: int) -> PreTrainedTokenizerFast:
    words = ["<pad>", "<eos>", "<unk>"] + [f"w{i}" for i in range(size - 3)]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>",
        padding_side="left", chat_template=TEMPLATE,
    )  # fmt: skip


# ---------------------------------------------------------------------------- the turns


def compare(size: str, work: Path, python: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    prepare(work, size, arguments.seed)
    rate, updates = MatmulRate(arguments.threads), arguments.updates
    common = {"threads": arguments.threads, "log": work / "sides.log"}
    precision = "bf16" if arguments.bf16 else "no"
    own = Side.start("outerloop", "benchmarks.own_ppo", precision=precision, **common)
    peer = Side.start(
        "trl", "benchmarks.peer_trl_ppo", python=python, site=arguments.peer_site, **common
    )
    settings = {
        "prompts_per_update": CONFIG.prompts_per_update, "mini_batches": CONFIG.mini_batches,
        "epochs": CONFIG.epochs, "max_new_tokens": WIDTH, "beta": CONFIG.kl.beta,
        "learning_rate": CONFIG.policy_learning_rate, "seed": arguments.seed, "bf16": arguments.bf16,
    }  # fmt: skip

    def theirs(ends: bool) -> Answer:
        return peer.ask(work=str(work), updates=updates, ends=ends, settings=settings)

    def ours(ends: bool, **changes: Any) -> Answer:
        config = CONFIG.to_json() | changes
        return own.ask(work=str(work), updates=updates, ends=ends, config=config)

    arms = {
        "a": {"trl, fixed": lambda: theirs(False), "a": lambda: ours(False)},
        "b": {"trl, natural": lambda: theirs(True), "b": lambda: ours(True)},
        "c": {"trl, natural": lambda: theirs(True), "c": lambda: ours(True, shared_backbone=True)},
    }
    sides = {name: run for arm in arguments.arms for name, run in arms[arm].items()}
    try:
        answers = take_turns(sides, repeats=arguments.repeats, each_turn=rate.measure)
    finally:
        own.close()
        peer.close()
    return evaluate(work, arguments.arms, answers, rate)


def evaluate(
    work: Path, arms: list[str], answers: dict[str, list[Answer]], rate: MatmulRate
) -> dict[str, Any]:
    config = AutoConfig.from_pretrained(work / "policy")
    prompts = [json.loads(line) for line in (work / "prompts.jsonl").read_text().splitlines()]
    prompt = statistics.mean(len(row["messages"][0]["content"].split()) for row in prompts)
    document: dict[str, Any] = {
        "matmul_gflops": rate.to_json(),
        "prompt_length": prompt,
        "arms": {},
    }
    for arm in arms:
        base = "trl, fixed" if arm == "a" else "trl, natural"
        (theirs, cpu_theirs), (ours, cpu_ours) = (
            [
                [statistics.mean(turn[clock][1:]) for turn in answers[name]]
                for clock in ("seconds", "cpu_seconds")
            ]
            for name in (base, arm)
        )
        response = statistics.mean(n for turn in answers[arm] for n in turn["response_length"][1:])
        work_needed = needed_operations(config, prompt, response, shared=arm == "c")
        peer_work = needed_operations(config, prompt, response, shared=False)
        document["arms"][arm] = {
            "response_length": round(response, 2),
            "trl_seconds": summary(theirs),
            "own_seconds": summary(ours),
            "ratio": ratio(theirs, ours),
            "ratio_of_processor_time": ratio(cpu_theirs, cpu_ours),
            "goal": GOALS[arm],
            "needed_gflop": round(work_needed / 1e9, 1),
            "own_share_of_limit": round(work_needed / rate.best / statistics.median(ours), 3),
            "trl_share_of_limit": round(peer_work / rate.best / statistics.median(theirs), 3),
            "own_peak_mb": round(statistics.median(turn["peak_mb"] for turn in answers[arm])),
            "trl_peak_mb": round(statistics.median(turn["peak_mb"] for turn in answers[base])),
            "phases": {
                phase: round(statistics.median(_later(answers[arm], phase)), 3)
                for phase in ("rollout", "score", "train")
            },
        }
    return document


def _later(turns: list[Answer], phase: str) -> list[float]:
    return [seconds for turn in turns for seconds in turn["phases"][phase][1:]]


def needed_operations(config: Any, prompt: float, response: float, *, shared: bool) -> float:
    """Operations in matrix products that one update cannot do without, padding not counted.

    2 per weight and token forwards, 6 with the backward pass; the vocabulary's matrix for response
    tokens only; attention 4 per layer, token, earlier token and channel. Sampling, one pass each of
    policy or its old log-probabilities, reference, critic and reward model, then the epochs.
    """
    hidden, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * hidden**2 + 3 * hidden * config.intermediate_size)
    tokens = prompt + response
    body = 2 * weights * tokens + layers * 4 * hidden * tokens**2 / 2
    head = 2 * config.vocab_size * hidden * response
    networks = 1 if shared else 2
    sampling = body + head
    scoring = (body + head) + body * (networks - 1) + (body + head) + body
    training = 3 * CONFIG.epochs * (networks * body + head)
    return float(CONFIG.prompts_per_update * (sampling + scoring + training))


def table(size: str, document: dict[str, Any]) -> str:
    lines = [
        f"\n{size}: matrix products at {document['matmul_gflops']['best']} GFlop/s, prompts of "
        f"{document['prompt_length']:.1f} tokens",
        f"{'arm':<4}{'tokens':>7}{'trl s/update':>22}{'own s/update':>22}{'ratio':>20}{'goal':>6}"
        f"{'own % of limit':>16}{'trl %':>7}{'peak MB':>12}",
    ]
    for arm, row in document["arms"].items():
        lines.append(
            f"{arm:<4}{row['response_length']:>7.1f}{shown(row['trl_seconds']):>22}"
            f"{shown(row['own_seconds']):>22}{shown(row['ratio']):>20}{row['goal']:>6}"
            f"{row['own_share_of_limit']:>16.0%}{row['trl_share_of_limit']:>7.0%}"
            f"{row['own_peak_mb']:>6}/{row['trl_peak_mb']}"
        )
        phases = ", ".join(f"{phase} {seconds:.2f} s" for phase, seconds in row["phases"].items())
        cpu = shown(row["ratio_of_processor_time"])
        lines.append(f"    {phases}; ratio of processor time {cpu}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
