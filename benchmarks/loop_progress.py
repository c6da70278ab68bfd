"""Does the loop keep improving? Eight rounds of the demo's world, by who decides what is deployed.

    nice python -m benchmarks.loop_progress [--seeds 411 412] [--arms gate once] [--rounds 8]

One first policy a seed. In each round the deployed policy answers training prompts twice, simulated annotators
compare the answers, and reward model and PPO learn anew from all labels so far, from the first policy on, as a line
whose plan says `init: base` does. The arms differ in what becomes of the candidate:

gate        the default gate policy decides, on fresh prompts and people's labels, with the line's error control;
            its labels train the rounds that follow, as a line with enough prompts releases them
incumbent   the same gate, but PPO starts from the deployed policy (KL is still paid to the first)
always      every candidate is deployed, nobody is asked
oracle      deployed where the hidden gold prefers it on the round's gate prompts; nobody is asked
once        one round that spends all labels of `gate` at once, on answers of the first policy; always deployed

Fixed before the counted seeds 411 to 415 (seed 900 was used to choose sizes, 401 and 402 to see what stands in a
line's way):

gold        mean hidden gold of the deployed policy's completions of 500 prompts that nothing else sees
win rate    share of them that the gold prefers to the first policy's completion of that prompt, ties half, with a
            95 % interval over facts
aim         the gold of `gate` after eight rounds beats that of `once` on at least four of five seeds; the same
            is reported of `incumbent`, and plans start PPO by default as the better of the two does (mean gold)
also        promotions whose gold win rate on the held-out prompts is under one half; the share of the gain of
            `oracle` over the first policy that `gate` keeps

Learning programs that are done are not run again: --work keeps them, by what they were asked for.
"""

from __future__ import annotations

import argparse
import json
import random
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks.django_ready  # noqa: F401 - the rooms below need their models
from annotation.contracts import GateLabel
from benchmarks.results_file import ROOT, result_head
from evaluation.contracts import (
    EvaluateRewardModelConfig,
    GateMeasurements,
    IntegrityFact,
    PolicyMeasurements,
    RewardModelMeasurements,
)
from evaluation.gates.outcomes import label_evidence, outcomes_from_labels
from evaluation.gates.policies import DEFAULT
from evaluation.gates.rehearsal import GateInForce, Rehearsal, mismatch_of
from evaluation.policy import error_cost
from evaluation.statistics.intervals import cluster_mean_interval
from outerloop.demo.annotators import ANNOTATORS
from outerloop.demo.gold import gold_score
from outerloop.demo.world import DemoPrompt, fact_asked, prompts
from outerloop.selftest.bench import Bench, Finished
from outerloop.selftest.labels import (
    SIDES,
    JudgedPair,
    gold_win_rate,
    labels_redrawn,
    offered,
    preference_rows,
)
from outerloop.selftest.learning import World, checkpoints, prompt_rows
from outerloop.selftest.sizes import HELD, ORDINARY
from outerloop.selftest.trials import verdict_as_labels_come
from training.contracts import PpoConfig, SamplePairsConfig
from training.digests import path_sha256
from web.files import file_write

RESULT = ROOT / "benchmarks" / "results" / "loop_progress.json"
COUNTED = (411, 412, 413, 414, 415)
ARMS = ("gate", "incumbent", "always", "oracle", "once")
ROUNDS, LABELS, GATE_LABELS, LOOK_EVERY = 8, 800, 400, 50
LEARNED_FROM, HELD_OUT = 1500, 500
PPO = PpoConfig.from_json(ORDINARY.ppo.to_json() | HELD | {"verifier": ""})


@dataclass
class Line:
    """What an arm's rounds hand on. `rows` are all labels so far, in the rows that recipes read."""

    deployed: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    gate: GateInForce = field(
        default_factory=lambda: GateInForce(
            replace(DEFAULT, max_labels=GATE_LABELS), DEFAULT.version
        )
    )
    training_labels: int = 0
    gate_labels: int = 0


@dataclass(frozen=True)
class RoundResult:
    """`gold` and `win_rate` (with its interval) are of what is deployed after the round; `candidate_wins` is the
    candidate's against what was deployed before, by the gold on held-out prompts."""

    round: int
    labels: int
    gate_labels: int
    verdict: str
    held_by: tuple[str, ...]
    candidate_wins: float
    gold: float
    win_rate: tuple[float, float, float]
    seconds: float


class Seed(World):
    """The world of one seed: its prompts, each used in one way only, and its first policy."""

    @cached_property
    def asked(self) -> list[DemoPrompt]:
        return prompts(self.seed, LEARNED_FROM + HELD_OUT + ROUNDS * GATE_LABELS)

    @property
    def learned_from(self) -> list[DemoPrompt]:
        return self.asked[:LEARNED_FROM]

    def judged(self, number: int) -> list[DemoPrompt]:
        """Fresh ones for the gate of each round."""
        start = LEARNED_FROM + HELD_OUT + (number - 1) * GATE_LABELS
        return self.asked[start : start + GATE_LABELS]

    def file(self, name: str, asked: Sequence[DemoPrompt]) -> Path:
        return self.bench.rows(name, prompt_rows(asked))

    def texts(
        self, policy: Path, name: str, asked: Sequence[DemoPrompt], each: int
    ) -> dict[str, list[tuple[str, bool]]]:
        """Prompt id -> `each` texts of `policy`, and whether they ended by themselves."""
        config = SamplePairsConfig(completions_per_prompt=each, sampling=ORDINARY.pairs.sampling)
        inputs = {"policy": policy, "prompts": self.file(name, asked)}
        drawn = self.bench.run("sample_pairs", self.seed, inputs, config)
        return {
            row["prompt_id"]: [(c["text"], c["ended"]) for c in row["completions"]]
            for row in drawn.rows("completions")
        }

    def compared(self, policy: Path, number: int, labels: int) -> list[dict[str, Any]]:
        """Labels of a round's own pairs; prompts come again once all have had their turn."""
        start = (number - 1) * labels
        turn = [self.learned_from[i % LEARNED_FROM] for i in range(start, start + labels)]
        unlike = list({p.external_id: p for p in turn}.values())
        pairs_each = -(-labels // len(unlike))
        texts = self.texts(policy, f"asked-{number}", unlike, 2 * pairs_each)
        met: dict[str, int] = {}
        pairs = []
        for prompt in turn:
            at = met.get(prompt.external_id, 0)
            met[prompt.external_id] = at + 1
            pairs.append(texts[prompt.external_id][2 * at : 2 * at + 2])
        rows = preference_rows(self.seed * 100 + number, ANNOTATORS, turn, pairs)
        return [row | {"id": f"round {number} {row['id']}"} for row in rows]

    def golds(self, policy: Path) -> np.ndarray:
        """Gold of one completion of each held-out prompt, in the prompts' order."""
        asked = self.asked[LEARNED_FROM : LEARNED_FROM + HELD_OUT]
        texts = self.texts(policy, "held-out", asked, 1)
        return np.array(
            [gold_score(p.messages, *texts[p.external_id][0]).total for p in asked], dtype=float
        )

    @cached_property
    def facts(self) -> list[str]:
        asked = self.asked[LEARNED_FROM : LEARNED_FROM + HELD_OUT]
        return [fact_asked(p.messages).name for p in asked]


@dataclass(frozen=True)
class Learned:
    """A round's reward model and candidate."""

    preferences: Path
    reward: Finished
    ppo: Finished

    @property
    def policy(self) -> Path:
        return self.ppo.artifact("policy")

    @property
    def models(self) -> dict[str, Path]:
        return {
            name: self.reward.artifact(name) for name in ("reward_model", "held_out_reward_model")
        }


def learn(world: Seed, line: Line, *, start: Path) -> Learned:
    preferences = world.bench.rows("preferences", line.rows)
    asked = world.prompts_file
    inputs = {"policy": world.policy, "preferences": preferences, "prompts": asked}
    reward = world.bench.run("reward_model", world.seed, inputs, ORDINARY.reward)
    ppo = world.bench.run(
        "ppo",
        world.seed,
        {
            "policy": start,
            "reference": world.policy,
            "prompts": asked,
            "reward_model": reward.artifact("reward_model"),
            "held_out_reward_model": reward.artifact("held_out_reward_model"),
        },
        PPO,
    )
    return Learned(preferences, reward, ppo)


@dataclass(frozen=True)
class Judged:
    """What a round's evaluation measured, and the pairs that people may be shown."""

    measured: GateMeasurements
    pairs: tuple[JudgedPair, ...]
    samples: list[dict[str, Any]]


def evaluate(world: Seed, line: Line, learned: Learned, number: int) -> Judged:
    inputs = {
        "candidate": learned.policy,
        "incumbent": line.deployed,
        "reference": world.policy,
        "prompts": world.file(f"judged-{number}", world.judged(number)),
        **learned.models,
    }
    policy = world.bench.run("evaluate_policy", world.seed, inputs, ORDINARY.evaluation)
    reward = world.bench.run(
        "evaluate_reward_model",
        world.seed,
        {"preferences": learned.preferences, **learned.models},
        EvaluateRewardModelConfig(),
    )
    samples = policy.rows("samples")
    pairs = offered(samples).candidate
    measured = GateMeasurements(
        candidate_sha256=path_sha256(learned.policy),
        incumbent_sha256=path_sha256(line.deployed),
        integrity=(IntegrityFact("artifact_hashes", True), _split_fact(world, line, number)),
        policy=PolicyMeasurements.from_json(policy.document("measurements")),
        reward_model=RewardModelMeasurements.from_json(reward.document("measurements")),
        mismatch=mismatch_of(checkpoints(learned.ppo)),
        identical_pairs=sum(pair.identical for pair in pairs),
    )
    return Judged(measured, pairs, samples)


def _split_fact(world: Seed, line: Line, number: int) -> IntegrityFact:
    """No prompt that the round is judged on was learned from."""
    judged = {prompt.external_id for prompt in world.judged(number)}
    return IntegrityFact("prompt_split", not judged & {row["group"] for row in line.rows})


def gate_decides(
    world: Seed, line: Line, judged: Judged, number: int
) -> tuple[str, tuple[str, ...]]:
    """Ask people until the gate has decided or its budget ends; the line keeps labels and error control."""
    gate = line.gate
    rehearsal = Rehearsal(
        gate=gate,
        measured=replace(
            judged.measured,
            test_number=gate.tests + 1,
            discoveries=gate.discoveries,
            error_spent=gate.spent,
        ),
        **SIDES,
        pairs=sum(not pair.identical for pair in judged.pairs),
    )
    given = labels_redrawn(
        offered(judged.samples),
        ANNOTATORS,
        share=1.0,
        most=min(gate.settings.max_labels, rehearsal.pairs),
        rng=random.Random(f"gate {world.seed} {number}"),
    )
    verdict, read = verdict_as_labels_come(rehearsal, given, LOOK_EVERY)
    labels = [label for label, _ in given[:read]]
    line.gate = _after(gate, labels, rehearsal.pairs)
    line.gate_labels += read
    line.rows += _released(labels, judged.samples, number)
    word = "REJECT" if verdict.verdict == "INCONCLUSIVE" else verdict.verdict
    held = tuple(c.id for c in verdict.checks if c.required and c.status != "PASS")
    return word, held


def _after(gate: GateInForce, labels: Sequence[GateLabel], pairs: int) -> GateInForce:
    """The line's error control once this test has ended, as the registry of tests settles it."""
    if not labels:
        return gate
    evidence = label_evidence(
        outcomes_from_labels(labels, **SIDES), settings=gate.settings, aim=gate.aim(pairs)
    )
    e_value = evidence.e_value if evidence else 1.0
    discovered = evidence is not None and evidence.max_e_value >= 1.0 / gate.level
    return replace(
        gate,
        tests=gate.tests + 1,
        discoveries=gate.discoveries + discovered,
        spent=gate.spent + error_cost(gate.level, e_value, discovered=discovered),
    )


def _released(
    labels: Sequence[GateLabel], samples: Sequence[Mapping[str, Any]], number: int
) -> list[dict[str, Any]]:
    """A decided gate's labels as training rows."""
    messages = {
        str(uuid.uuid5(uuid.NAMESPACE_OID, row["prompt_id"])): row["messages"] for row in samples
    }
    return [
        {
            "id": f"gate {number} {i}",
            "group": label.group,
            "messages": messages[str(label.prompt_id)],
            "completions": list(label.texts),
            "preference": 0.5 if label.value == 4 else float(label.value < 4),
            "strength": float(label.value),
            "weight": 1.0,
            "split": "train",
            "rater": label.rater,
        }
        for i, label in enumerate(labels)
    ]


def line_run(world: Seed, arm: str, rounds: int, labels: int) -> Iterator[RoundResult]:
    """Each round of an arm as it ends; `labels` are compared in each for training."""
    line = Line(world.policy)
    base = world.golds(world.policy)
    for number in range(1, rounds + 1):
        began = time.monotonic()
        line.rows += world.compared(line.deployed, number, labels)
        line.training_labels += labels
        start = line.deployed if arm == "incumbent" else world.policy
        learned = learn(world, line, start=start)
        word, held = _decided(world, line, learned, number, arm)
        before, after = world.golds(line.deployed), world.golds(learned.policy)
        if word == "PROMOTE":
            line.deployed = learned.policy
        now = world.golds(line.deployed)
        rate = cluster_mean_interval(_wins(now, base), world.facts)
        yield RoundResult(
            round=number,
            labels=line.training_labels + line.gate_labels,
            gate_labels=line.gate_labels,
            verdict=word,
            held_by=held,
            candidate_wins=float(np.mean(_wins(after, before))),
            gold=float(now.mean()),
            win_rate=(rate.estimate, rate.low, rate.high),
            seconds=round(time.monotonic() - began, 1),
        )


def _decided(
    world: Seed, line: Line, learned: Learned, number: int, arm: str
) -> tuple[str, tuple[str, ...]]:
    if arm in ("always", "once"):
        return "PROMOTE", ()
    judged = evaluate(world, line, learned, number)
    if arm == "oracle":
        return ("PROMOTE" if gold_win_rate(judged.pairs) > 0.5 else "REJECT"), ()
    return gate_decides(world, line, judged, number)


def _wins(one: np.ndarray, other: np.ndarray) -> list[float]:
    return [float(np.sign(gap)) / 2 + 0.5 for gap in one - other]


def once_labels(found: Mapping[str, Any], rounds: int) -> int:
    """What `gate` has spent after its last round; 0 while it is not done."""
    done = found.get("gate", {}).get("rounds", [])
    return int(done[-1]["labels"]) if len(done) == rounds else 0


def table(seeds: Mapping[str, Any]) -> str:
    lines = ["seed  arm        labels  promoted  worse  gold    win rate against the first policy"]
    for seed, arms in sorted(seeds.items()):
        for arm, found in arms.items():
            rounds = found["rounds"]
            last = rounds[-1]
            promoted = [r for r in rounds if r["verdict"] == "PROMOTE"]
            worse = sum(r["candidate_wins"] < 0.5 for r in promoted)
            estimate, low, high = last["win_rate"]
            lines.append(
                f"{seed:5} {arm:10} {last['labels']:6} {len(promoted):4} of {len(rounds)}"
                f" {worse:5}  {last['gold']:+.3f}  {estimate:.3f} ({low:.3f} to {high:.3f})"
            )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(COUNTED))
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--work", type=Path, default=ROOT / "var" / "loop_progress")
    parser.add_argument("--results", type=Path, default=RESULT)
    arguments = parser.parse_args()
    document: dict[str, Any] = {"seeds": {}}
    if arguments.results.exists():
        document = json.loads(arguments.results.read_text())
    seeds = document["seeds"]
    for seed in arguments.seeds:
        found = seeds.setdefault(str(seed), {})
        for arm in sorted(arguments.arms, key=ARMS.index):
            if len(found.get(arm, {}).get("rounds", [])) == arguments.rounds or (
                arm == "once" and found.get(arm)
            ):
                continue
            rounds, labels = arguments.rounds, LABELS
            if arm == "once":
                rounds, labels = 1, once_labels(found, arguments.rounds)
                if not labels:
                    continue
            kept: list[dict[str, Any]] = []
            with Bench(arguments.work / str(seed)) as bench:
                for result in line_run(Seed(bench, seed, ORDINARY), arm, rounds, labels):
                    kept.append(asdict(result))
                    print(seed, arm, json.dumps(kept[-1]), flush=True)
                    found[arm] = result_head() | {"rounds": kept}
                    file_write(arguments.results, json.dumps(document, indent=1) + "\n")
    print(table(seeds))


if __name__ == "__main__":
    main()
