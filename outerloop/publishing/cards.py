"""What a model that leaves says of itself: where it comes from, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Q

from evaluation import facade as evaluation
from evaluation.contracts import Interval, RoundRecord, SplitMeasurements
from evaluation.formatting import share
from outerloop.rounds.models import Round
from training import facade as training
from training.facade import ModelVersionRecord, RunRecord
from web.registry import line_name

KINDS = {
    "policy": "Policy",
    "reward_model": "Reward model",
    "held_out_reward_model": "Held-out reward model",
}


@dataclass(frozen=True)
class ModelStory:
    """A version with the round and the run that made it, and the last report of that round, where there are any."""

    version: ModelVersionRecord
    line: str
    round: int | None
    record: RoundRecord | None
    run: RunRecord | None

    @property
    def kind(self) -> str:
        return KINDS[self.version.kind]

    def tags(self) -> dict[str, str]:
        """The identities, by machine name; nothing is empty."""
        record, run = self.record, self.run
        found = {
            "outerloop.line": self.line,
            "outerloop.kind": self.version.kind,
            "outerloop.version": str(self.version.id),
            "outerloop.sha256": self.version.sha256,
            "outerloop.round": "" if self.round is None else str(self.round),
            "outerloop.verdict": record.gate.verdict if record and record.gate else "",
            "outerloop.run": str(run.id) if run else "",
            "outerloop.order_sha256": run.spec_sha256 if run else "",
            "outerloop.commit": str(run.environment.get("commit") or "") if run else "",
        }
        return {name: value for name, value in found.items() if value}

    def metrics(self) -> dict[str, float]:
        """The figures of `measured`, by machine name."""
        found: dict[str, float] = {}
        record = self.record
        if record is None:
            return found
        if self.version.kind == "policy":
            if record.human is not None and record.human.win_rate is not None:
                found["win_rate"] = record.human.win_rate.estimate
                found["labels"] = record.human.labels
        elif record.reward_model is not None:
            for name, split in record.reward_model.splits.items():
                accuracy = self.accuracy(split)
                if accuracy is not None:
                    found[f"accuracy_{name}"] = accuracy.estimate
        return found

    def accuracy(self, split: SplitMeasurements) -> Interval | None:
        """That of this one of the two models which `split` measured."""
        held_out = self.version.kind == "held_out_reward_model"
        return split.held_out_accuracy if held_out else split.accuracy


def story_of(version: ModelVersionRecord) -> ModelStory:
    """The newest round that made or judged the version tells of it."""
    made = (
        Q(candidate=version.id) | Q(reward_model=version.id) | Q(held_out_reward_model=version.id)
    )
    found = Round.objects.filter(made, line=version.line_id).order_by("-number").first()
    return ModelStory(
        version=version,
        line=line_name(version.line_id),
        round=found.number if found else None,
        record=evaluation.report_get(found.pk) if found else None,
        run=training.run_get(version.run_id) if version.run_id else None,
    )


def card_of(story: ModelStory) -> str:
    """The model card in Markdown, with the front matter that hubs read. No label, prompt or person is in it."""
    version = story.version
    made = f"round {story.round}" if story.round is not None else "no round: it was brought in"
    kind = version.kind.replace("_", "-")
    parts = [
        f"---\nlibrary_name: transformers\ntags:\n- outerloop\n- {kind}\n---",
        f"# {_plain(version.name)}",
        f"{story.kind} of the line {_plain(story.line)}, made by {made}. What holds for the model that it"
        " began from, its licence first, holds for this one.",
        "## What was measured",
        *_measured(story),
        "## Where it comes from",
        _table(("what", "identity"), _origins(story)),
    ]
    return "\n\n".join(parts) + "\n"


def _measured(story: ModelStory) -> Iterator[str]:
    record = story.record
    if record is None:
        yield "Nothing: no round has reported on it."
        return
    if record.simulated:
        yield "The annotators of this line are programs: no figure below is about people."
    if story.version.kind == "policy":
        yield from _policy_measured(record)
    elif record.reward_model is not None:
        rows = [
            (name, str(split.pairs), share(story.accuracy(split), 1))
            for name, split in record.reward_model.splits.items()
        ]
        yield "How often it scores the side that was preferred above the other, on judged pairs:"
        yield _table(("split", "pairs", "accuracy (95% interval)"), rows)
    else:
        yield "Nothing: its round ended before it was measured."


def _policy_measured(record: RoundRecord) -> Iterator[str]:
    gate = record.gate
    yield f"Verdict of the gate: **{gate.verdict}**." if gate else "The gate has not decided."
    if record.human is not None and record.human.win_rate is not None:
        against = record.incumbent_version or "the policy before"
        yield (
            f"Preferred to {_plain(against)} in {share(record.human.win_rate)} of"
            f" {record.human.labels} labels by {record.human.annotators} annotators."
        )
    if gate:
        rows = [
            (
                check.name,
                check.measured,
                check.status + (" (let through)" if check.overridden else ""),
            )
            for check in gate.checks
        ]
        yield _table(("check", "measured", "status"), rows)


def _origins(story: ModelStory) -> Iterator[tuple[str, str]]:
    version, run, record = story.version, story.run, story.record
    yield "model version", str(version.id)
    yield "artifact, SHA-256", version.sha256
    if run is not None:
        yield "run", f"{run.kind} {run.id}"
        yield "order of the run, SHA-256", run.spec_sha256
        if run.environment.get("commit"):
            yield "commit of Outerloop", str(run.environment["commit"])
        for name, number in sorted((run.environment.get("packages") or {}).items()):
            if number:
                yield name, str(number)
    if record is not None:
        if record.gate is not None:
            yield "evidence of the verdict, SHA-256", record.gate.evidence_sha256
        for item in record.lineage:
            if item.kind == "snapshot":
                yield f"{item.name}, SHA-256", item.sha256


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_plain(cell) for cell in row)} |" for row in lines)


def _plain(text: str) -> str:
    """One line in which no letter is a mark of Markdown or HTML."""
    line = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\|*_`[]<>#" else letter for letter in line)
