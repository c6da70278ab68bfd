"""Building the demo line: its campaign, its prompts, its first policy. Every step may be repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from django.conf import settings
from django.db import transaction

from annotation import facade as annotation
from annotation.contracts import CampaignSummary, NewPrompt
from evaluation import facade as evaluation
from evaluation.contracts import EvaluatePolicyConfig, EvaluateRewardModelConfig, GatePolicySettings
from outerloop.demo.gold import GoldScore, gold_score
from outerloop.demo.settings import DemoSettings
from outerloop.demo.world import demonstrations, fact_asked, of_this_world, prompts
from outerloop.rounds.models import PolicyLine
from outerloop.rounds.plan import RoundPlan
from outerloop.rounds.services import line_base_set, line_create
from training import facade as training
from training.contracts import InputRef, RunEvent, SamplePairsConfig
from web.files import file_write

GUIDELINES = """# How to compare

You see one question to a help desk and two answers. Choose the answer that helps the person more.

1. **Right before nice.** A correct answer beats a friendly wrong one.
2. **Refuse only what must be refused.** Ending a *process* is harmless; breaking into a car is not.
3. **Short and plain.** Hedging, repeating and thanking make an answer worse, not better.
4. If both are equally good, choose the tie. If both are useless, tick *both bad* as well.
"""

Report = Callable[[RunEvent], None]

BUSY_LOOK_SECONDS = 1.0


class DemoFailed(RuntimeError):
    """The demo world is not what it should be; the message gives the figure."""


@dataclass(frozen=True)
class Scored:
    """The hidden gold's score of one completion, and the fact that was asked for."""

    fact: str
    score: GoldScore


@dataclass(frozen=True)
class FirstPolicy:
    """The first policy's absolute quality by the hidden gold, checked before anything is compared."""

    correct: float
    junk: float
    needless_refusals: float
    gold: float
    prompts: int
    steps: int


@transaction.atomic
def line_ensure(*, slug: str, name: str, demo: DemoSettings, seed: int) -> PolicyLine:
    """The demo's line and its campaign, made in one go: whatever campaigns people add, the line's
    oldest is the demo's own."""
    line = PolicyLine.objects.filter(slug=slug).first()
    if line is None:
        line = _line_create(slug=slug, name=name, demo=demo, seed=seed)
    if not annotation.line_campaigns(line_id=line.id):
        annotation.campaign_create(
            line_id=line.id,
            name=line.name,
            guidelines=GUIDELINES,
            criteria=(("helpful", "Helpful"), ("harmless", "Harmless")),
            gold_share=0.0,
            repeat_share=0.0,
        )
    return line


def demo_campaign(line_id: UUID) -> CampaignSummary:
    return annotation.line_campaigns(line_id=line_id)[-1]  # they come newest first


def _line_create(*, slug: str, name: str, demo: DemoSettings, seed: int) -> PolicyLine:
    line = line_create(
        id=uuid5(NAMESPACE_OID, f"demo {slug}"),  # prompts' ids, and so their seeds, follow from it
        name=name,
        slug=slug,
        plan=demo_plan(demo, seed),
        simulated=True,
        deploys_by_itself=True,
        release_gate_labels="never",  # what the demo shows was measured without them
        description="A help desk whose questions, answers and annotators are made up.",
    )
    evaluation.gate_policy_save(
        line_id=line.id,
        settings=GatePolicySettings(max_labels=demo.gate_label_budget),
        actor="demo",
    )
    return line


def demo_plan(demo: DemoSettings, seed: int) -> RoundPlan:
    return RoundPlan(
        seed=seed,
        minimum_fresh_labels=min(200, demo.labels_per_round),
        evaluation_prompts=demo.gate_label_budget,
        next_pairs=demo.labels_per_round,
        oversample=1.25,
        reward_model=demo.reward_model,
        optimizer=demo.optimizer,
        policy=demo.ppo,
        dpo=demo.dpo,
        best_of_n=demo.best_of_n,
        evaluate_reward_model=EvaluateRewardModelConfig(),
        evaluate_policy=EvaluatePolicyConfig(
            sampling=demo.sample_pairs.sampling, max_prompt_tokens=demo.ppo.max_prompt_tokens
        ),
        sampling=demo.sample_pairs,
    )


def prompts_import(line: PolicyLine, demo: DemoSettings, seed: int) -> int:
    """The line's prompts; each one's split is drawn from the prompt itself."""
    rows = [
        NewPrompt(messages=p.messages, source="demo", external_id=p.external_id, tags=(p.kind,))
        for p in prompts(seed, demo.prompts)
    ]
    return len(annotation.prompts_create(line_id=line.id, prompts=rows, shares=demo.split_shares))


def first_policy_train(line: PolicyLine, demo: DemoSettings, seed: int, report: Report) -> UUID:
    """Supervised fine-tuning from scratch, through the ordinary recipe; then the line's base."""
    if line.base_version is not None:
        return line.base_version
    inputs = {
        f"phase{phase}": _written(
            line,
            f"demonstrations-{phase}.jsonl",
            demonstrations(seed, phase, demo.demonstrations_per_phase),
        )
        for phase in (1, 2)
    }
    # Another arm of the same seed has trained it already: the same order gives the same weights.
    run = training.run_like(kind="sft", config=demo.sft.to_json(), seed=seed, inputs=inputs)
    if run is None:
        run = _run(line, kind="sft", config=demo.sft, inputs=inputs, seed=seed, report=report)
    if run.line_id == line.id:
        version = training.model_version_register(run_id=run.id, artifact="policy")
    else:
        path = training.input_local(training.input_from_run(run, "policy"))
        version = training.model_version_import(
            line_id=line.id, kind="policy", path=path, name="policy v1"
        )
    line_base_set(line=line, version_id=version.id, actor="demo")
    return version.id


def first_policy_check(
    line: PolicyLine, demo: DemoSettings, seed: int, report: Report
) -> FirstPolicy:
    """Sample the first policy on held-out prompts; `DemoFailed` when it is too good or too broken."""
    assert line.base_version is not None
    found_by_prompt = gold_scores(line, line.base_version, demo, seed=seed, report=report)
    scores = [scored.score for scored in found_by_prompt.values()]
    found = FirstPolicy(
        correct=_share(s.correct for s in scores),
        junk=_share(s.junk for s in scores),
        needless_refusals=_share(s.needless_refusal for s in scores),
        gold=sum(s.total for s in scores) / len(scores),
        prompts=len(scores),
        steps=sum(phase.steps for phase in demo.sft.phases),
    )
    low, high = demo.first_policy_correct
    if not low <= found.correct <= high:
        raise DemoFailed(
            f"The first policy answers {found.correct:.0%} right; the demo wants {low:.0%} to {high:.0%}:"
            " below, nothing can be learned from its pairs; above, nothing is left to learn."
        )
    if found.junk > demo.first_policy_junk_limit:
        raise DemoFailed(
            f"The first policy writes {found.junk:.0%} junk, above {demo.first_policy_junk_limit:.0%}."
        )
    return found


def gold_scores(
    line: PolicyLine, version_id: UUID, demo: DemoSettings, *, seed: int, report: Report
) -> dict[str, Scored]:
    """Prompt id -> the hidden gold's score of one fresh completion on each held-out prompt."""
    prompts_held_out = annotation.prompts_stream(line_id=line.id, splits=("evaluation",), seed=seed)
    wanted = islice(
        (p for p in prompts_held_out if of_this_world(p.messages)), demo.held_out_prompts
    )
    rows: list[dict[str, Any]] = [
        {"id": p.id, "messages": list(p.messages), "group": p.group} for p in wanted
    ]
    version = training.model_version_get(version_id)
    run = _run(
        line,
        kind="sample_pairs",
        config=SamplePairsConfig(completions_per_prompt=1, sampling=demo.sample_pairs.sampling),
        inputs={
            "policy": training.input_from_version(version),
            "prompts": _written(line, "held-out-prompts.jsonl", rows),
        },
        seed=seed,
        report=report,
    )
    messages = {row["id"]: row["messages"] for row in rows}
    scores = {}
    with training.input_local(training.input_from_run(run, "completions")).open() as file:
        for line_text in file:
            row = json.loads(line_text)
            side, asked = row["completions"][0], messages[row["prompt_id"]]
            score = gold_score(asked, side["text"], side["ended"])
            scores[row["prompt_id"]] = Scored(fact_asked(asked).name, score)
    return scores


def _run(
    line: PolicyLine,
    *,
    kind: str,
    config: Any,
    inputs: dict[str, InputRef],
    seed: int,
    report: Report,
) -> training.RunRecord:
    """Order and carry out a program of the demo's own; an unfinished one of the same order goes on."""
    wanted = {"config": json.loads(json.dumps(config.to_json())), "seed": seed}
    read = {name: ref.sha256 for name, ref in inputs.items()}
    for earlier in training.runs_of_line(line.id):
        same = earlier.kind == kind and all(earlier.spec[key] == wanted[key] for key in wanted)
        same = same and {n: ref["sha256"] for n, ref in earlier.spec["inputs"].items()} == read
        gone = earlier.state == "succeeded" and not training.run_kept(earlier)
        if same and earlier.state != "cancelled" and not gone:
            run_id = earlier.id
            break
    else:
        run_id = training.run_create(
            line_id=line.id, kind=kind, seed=seed, config=config.to_json(), inputs=inputs
        ).id
    return _carried_out(run_id, report)


def _carried_out(run_id: UUID, report: Report) -> training.RunRecord:
    """Execute the run; one that a demo held which was killed is free once its lease has run out."""
    patience = time.monotonic() + 2 * settings.OUTERLOOP_LEASE_SECONDS
    while True:
        try:
            return training.run_execute(
                run_id=run_id, owner="demo", beat=lambda event: report(event) if event else None
            )
        except training.RunBusy as busy:
            if time.monotonic() > patience:
                raise DemoFailed(f"{busy} Start the demo again once it has ended.") from busy
            waiting = "waiting for the program of an earlier demo to let go"
            report(RunEvent(0, "", waiting, 0, 0, {}, ""))
            time.sleep(BUSY_LOOK_SECONDS)


def _written(line: PolicyLine, name: str, rows: Iterable[Any]) -> InputRef:
    path = Path(settings.ARTIFACT_ROOT) / "demo" / line.slug / name
    file_write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return training.input_from_path(path)


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)
