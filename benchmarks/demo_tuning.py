"""Tune and measure the demo world without the site: supervised, labels, reward model, PPO, gold.

    python benchmarks/demo_tuning.py --seed 1 --arm default --threads 2

Every learning step is a recipe, started the way the site starts it. Only the throwaway seeds 1, 2
and 3 are allowed: the settings in `outerloop/demo/settings.py` are chosen by looking at the results.
One JSON line of results goes to standard output; runs are kept under --work and finished ones are
used again.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluation.statistics.sequences import e_process
from outerloop.demo.annotators import ANNOTATORS, annotator_rng, judge
from outerloop.demo.gold import GoldScore, gold_score
from outerloop.demo.settings import DEFAULT, OVEROPTIMISED, DemoSettings
from outerloop.demo.world import DemoPrompt, demonstrations, prompts
from training.contracts import (
    CONFIGS,
    RECIPE_MODULES,
    InputRef,
    JsonContract,
    RunKind,
    RunManifest,
    RunSpec,
    SamplePairsConfig,
    json_sha256,
)
from training.digests import path_sha256
from web.files import file_write

ROOT = Path(__file__).resolve().parent.parent
THROWAWAY_SEEDS = (1, 2, 3)

Text = tuple[str, bool]  # a completion and whether it ended by itself


@dataclass
class Bench:
    """Where runs are kept, how many threads a recipe gets, and what each took in seconds."""

    work: Path
    seed: int
    threads: int
    seconds: dict[str, float]

    def run(
        self, name: str, kind: RunKind, inputs: Mapping[str, Path], config: JsonContract
    ) -> tuple[Path, RunManifest]:
        assert isinstance(config, CONFIGS[kind])
        references = {
            key: InputRef(str(path.resolve()), path_sha256(path)) for key, path in inputs.items()
        }
        identity = json_sha256(
            [kind, self.seed, config.to_json(), {k: r.sha256 for k, r in references.items()}]
        )
        directory = self.work / f"{name}-{identity[:12]}"
        if not (directory / "manifest.json").exists():
            self._start(directory, kind, references, config)
        manifest = RunManifest.from_json(json.loads((directory / "manifest.json").read_text()))
        self.seconds[name] = round(manifest.seconds, 1)
        return directory, manifest

    def _start(
        self, directory: Path, kind: RunKind, inputs: dict[str, InputRef], config: JsonContract
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        spec = RunSpec(str(uuid.uuid4()), kind, self.seed, inputs, config.to_json())
        if not (directory / "spec.json").exists():
            (directory / "spec.json").write_text(json.dumps(spec.to_json()))
        launch = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes=1", "-m"]
        with (directory / "child.log").open("ab") as log:
            code = subprocess.call(
                [sys.executable, *launch, RECIPE_MODULES[kind], str(directory / "spec.json")],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": str(self.threads),
                    "PYTHONPATH": os.environ.get("PYTHONPATH", str(ROOT)),
                },
            )
        if code or not (directory / "manifest.json").exists():
            raise SystemExit(f"{kind} failed with {code}; see {directory / 'child.log'}.")

    def rows(self, name: str, rows: Iterable[Mapping[str, Any]]) -> Path:
        """Written under a name of its own content, so that two arms can run side by side."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        path = self.work / "inputs" / f"{name}-{digest}.jsonl"
        file_write(path, text)
        return path


def artifact(run: tuple[Path, RunManifest], name: str) -> Path:
    return run[0] / run[1].artifact(name).path


def prompt_rows(asked: Sequence[DemoPrompt]) -> list[dict[str, Any]]:
    return [
        {"id": p.external_id, "messages": list(p.messages), "group": p.external_id} for p in asked
    ]


# ------------------------------------------------------------------- what is sampled


@dataclass(frozen=True)
class Drawn:
    """Completions [prompt][draw], and the two files they came from and went to."""

    texts: list[list[Text]]
    prompts: Path
    completions: Path

    @property
    def first(self) -> list[Text]:
        return [texts[0] for texts in self.texts]


def sample(
    bench: Bench, name: str, policy: Path, asked: Sequence[DemoPrompt], config: SamplePairsConfig
) -> Drawn:
    path = bench.rows(f"{name}-prompts", prompt_rows(asked))
    run = bench.run(name, "sample_pairs", {"policy": policy, "prompts": path}, config)
    written = artifact(run, "completions")
    lines = written.read_text().splitlines()
    drawn = {row["prompt_id"]: row["completions"] for row in map(json.loads, lines)}
    texts = [[(c["text"], c["ended"]) for c in drawn[p.external_id]] for p in asked]
    return Drawn(texts, path, written)


def gold(asked: Sequence[DemoPrompt], texts: Sequence[Text]) -> list[GoldScore]:
    return [gold_score(p.messages, *text) for p, text in zip(asked, texts, strict=True)]


def summary(scores: Sequence[GoldScore]) -> dict[str, float]:
    fields: dict[str, list[float]] = {
        "gold": [s.total for s in scores],
        "correct": [float(s.correct) for s in scores],
        "needless_refusal": [float(s.needless_refusal) for s in scores],
        "compliance": [float(s.compliance) for s in scores],
        "junk": [float(s.junk) for s in scores],
        "hedged": [float(s.hedges > 0) for s in scores],
        "pleasantries": [float(s.pleasantries) for s in scores],
        "tokens": [float(s.tokens) for s in scores],
        "ended": [float(s.ended) for s in scores],
    }
    return {key: round(float(np.mean(values)), 3) for key, values in fields.items()}


def win_rate(candidate: Sequence[GoldScore], incumbent: Sequence[GoldScore]) -> float:
    gaps = np.array([c.total - i.total for c, i in zip(candidate, incumbent, strict=True)])
    return float(np.mean(np.where(np.abs(gaps) < 1e-9, 0.5, gaps > 0)))


# --------------------------------------------------------------------------- labels


def preference_rows(
    seed: int, asked: Sequence[DemoPrompt], pairs: Sequence[Sequence[Text]], *, shuffled: bool
) -> list[dict[str, Any]]:
    """One label a pair, annotators in turn; `shuffled` deals the labels out again at random."""
    scales = []
    for i, (prompt, (left, right)) in enumerate(zip(asked, pairs, strict=True)):
        annotator = ANNOTATORS[i % len(ANNOTATORS)]
        dice = annotator_rng(seed, annotator.name, prompt.external_id)
        scales.append(_judged(annotator, prompt, left, right, dice))
    if shuffled:
        random.Random(seed).shuffle(scales)
    return [
        {
            "id": f"pair-{i}",
            "group": prompt.external_id,
            "messages": list(prompt.messages),
            "completions": [pair[0][0], pair[1][0]],
            "preference": 0.5 if scale == 4 else float(scale < 4),
            "strength": float(scale),
            "weight": 1.0,
            "split": "test" if i % 10 == 0 else "validation" if i % 20 == 1 else "train",
            "rater": ANNOTATORS[i % len(ANNOTATORS)].name,
        }
        for i, (prompt, pair, scale) in enumerate(zip(asked, pairs, scales, strict=True))
    ]


def _judged(
    annotator: Any, prompt: DemoPrompt, left: Text, right: Text, dice: random.Random
) -> int:
    return judge(
        annotator,
        prompt.messages,
        left[0],
        right[0],
        dice,
        left_ended=left[1],
        right_ended=right[1],
    ).scale


def gate_simulation(
    seed: int,
    asked: Sequence[DemoPrompt],
    candidate: Sequence[Text],
    incumbent: Sequence[Text],
    *,
    redraws: int = 200,
    limit: int = 1200,
) -> dict[str, float]:
    """Labels that the e-process needs at alpha 0.05, over fresh draws of prompts and annotators."""
    needed = []
    rates = []
    for redraw in range(redraws):
        dice = random.Random(f"gate {seed} {redraw}")
        outcomes = []
        for i in (dice.randrange(len(asked)) for _ in range(limit)):
            annotator = dice.choice(ANNOTATORS)
            scale = _judged(annotator, asked[i], incumbent[i], candidate[i], dice)
            outcomes.append(0.5 if scale == 4 else float(scale > 4))
        rates.append(float(np.mean(outcomes)))
        reached = np.nonzero(e_process(outcomes) >= 20)[0]
        needed.append(int(reached[0]) + 1 if len(reached) else limit + 1)
    count = np.array(needed)
    shares = {f"pass_by_{n}": float(np.mean(count <= n)) for n in (200, 400, 600, 800)}
    return {
        "label_win_rate": round(float(np.mean(rates)), 3),
        "median": float(np.median(count)),
        "p90": float(np.quantile(count, 0.9)),
        **shares,
    }


# ------------------------------------------------------------------------------ arms


def first_policy(bench: Bench, settings: DemoSettings) -> Path:
    n = settings.demonstrations_per_phase
    inputs = {
        f"phase{i}": bench.rows(f"phase{i}", demonstrations(bench.seed, i, n)) for i in (1, 2)
    }
    return artifact(bench.run("sft", "sft", inputs, settings.sft), "policy")


def round_run(
    bench: Bench,
    settings: DemoSettings,
    name: str,
    first: Path,
    reference: Drawn,
    labels: Sequence[Mapping[str, Any]],
    asked: Sequence[DemoPrompt],
) -> tuple[Path, dict[str, Any]]:
    """Reward model on all labels so far, then PPO from the first policy."""
    inputs = {
        "preferences": bench.rows(f"{name}-preferences", labels),
        "policy": first,
        "prompts": reference.prompts,
        "reference_samples": reference.completions,
    }
    reward = bench.run(f"{name}-rm", "reward_model", inputs, settings.reward_model)
    ppo_inputs = {
        "policy": first,
        "reference": first,
        "prompts": bench.rows(f"{name}-ppo-prompts", prompt_rows(asked)),
        "reward_model": artifact(reward, "reward_model"),
        "held_out_reward_model": artifact(reward, "held_out_reward_model"),
    }
    ppo = bench.run(f"{name}-ppo", "ppo", ppo_inputs, settings.ppo)
    results = {"reward_model": reward[1].results, "ppo": ppo[1].results}
    return artifact(ppo, "policy"), results


def measure(args: argparse.Namespace, settings: DemoSettings) -> dict[str, Any]:
    bench = Bench(args.work, args.seed, args.threads, {})
    asked = prompts(args.seed, settings.prompts)
    held, pool = asked[: args.held], asked[args.held :]
    once = replace(settings.sample_pairs, completions_per_prompt=1)
    first = first_policy(bench, settings)
    reference = sample(bench, "first-held", first, held, once)
    base = gold(held, reference.first)
    report: dict[str, Any] = {"seed": args.seed, "arm": args.arm, "first": summary(base)}
    labels: list[dict[str, Any]] = []
    writer, before = first, (reference.first, base)
    for number in range(1, args.rounds + 1):
        fresh = pool[(number - 1) * settings.labels_per_round :][: settings.labels_per_round]
        pairs = sample(bench, f"pairs{number}", writer, fresh, settings.sample_pairs)
        labels += preference_rows(args.seed, fresh, pairs.texts, shuffled=args.arm == "shuffled")
        policy, results = round_run(
            bench, settings, f"round{number}", first, reference, labels, pool
        )
        texts = sample(bench, f"held{number}", policy, held, once).first
        scores = gold(held, texts)
        report[f"round{number}"] = {
            "labels": len(labels),
            **summary(scores),
            "win_vs_first": round(win_rate(scores, base), 3),
            "win_vs_incumbent": round(win_rate(scores, before[1]), 3),
            "gate": gate_simulation(args.seed, held, texts, before[0], redraws=args.redraws),
            **results,
            "samples": [f"{p.text} -> {t[0]}" for p, t in zip(held[:12], texts, strict=False)],
        }
        if args.arm == "default":
            writer, before = policy, (texts, scores)
    report["seconds"] = bench.seconds
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, choices=THROWAWAY_SEEDS, default=1)
    parser.add_argument("--arm", choices=("default", "shuffled", "overoptimise"), default="default")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--held", type=int, default=DEFAULT.held_out_prompts)
    parser.add_argument("--redraws", type=int, default=200)
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "demo-tuning")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=JSON")
    args = parser.parse_args()
    began = time.monotonic()
    settings = OVEROPTIMISED if args.arm == "overoptimise" else DEFAULT
    for change in args.set:
        path, _, value = change.partition("=")
        settings = changed(settings, path.split("."), json.loads(value))
    report = measure(args, settings)
    report["wall_seconds"] = round(time.monotonic() - began, 1)
    report["changes"] = args.set
    print(json.dumps(report, ensure_ascii=False))


def changed(value: Any, path: Sequence[str], new: Any) -> Any:
    """A copy of nested frozen dataclasses with one field replaced: "ppo.kl.beta" = 0.1."""
    if not path:
        return new
    if isinstance(value, tuple):
        i = int(path[0])
        return (*value[:i], changed(value[i], path[1:], new), *value[i + 1 :])
    return dataclasses.replace(value, **{path[0]: changed(getattr(value, path[0]), path[1:], new)})


if __name__ == "__main__":
    main()
