"""A line with policies in the registry, and verdicts to record on them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from annotation.contracts import GateLabel
from evaluation import facade
from evaluation.contracts import GateMeasurements, IntegrityFact, Interval
from evaluation.facade import DecisionRecord
from tests.evaluation.policy.evidence import GOOD, POLICY
from training import facade as training

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def policy_create(line: UUID, folder: Path, name: str) -> training.ModelVersionRecord:
    """A registered policy whose files differ by name; nothing here loads its weights."""
    source = folder / f"source-{uuid.uuid4()}"
    source.mkdir(parents=True)
    (source / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (source / "model.safetensors").write_bytes(name.encode())
    return training.model_version_import(line_id=line, kind="policy", path=source, name=name)


@dataclass
class LineWorld:
    """A line with a deployed first policy and a candidate that its round 1 judges."""

    folder: Path
    line: UUID = field(default_factory=uuid.uuid4)
    round: UUID = field(default_factory=uuid.uuid4)

    def __post_init__(self) -> None:
        self.incumbent = policy_create(self.line, self.folder, "policy v1")
        self.candidate = policy_create(self.line, self.folder, "policy v2")

    def deploy_first(self) -> facade.LineDeployment:
        return facade.deployment_start(
            line_id=self.line,
            version_id=self.incumbent.id,
            kind="initial",
            round_id=None,
            actor="set-up",
        )

    def measured(self, **changes: Any) -> GateMeasurements:
        """Evidence that passes every check, on this world's two policies."""
        shas: dict[str, Any] = {
            "candidate_sha256": self.candidate.sha256,
            "incumbent_sha256": self.incumbent.sha256,
        }
        return replace(GOOD, **{**shas, **changes})

    def decide(
        self, *, round_id: UUID | None = None, number: int = 1, **changes: Any
    ) -> DecisionRecord:
        """Decide a round on `measured(**changes)` and record it."""
        measurements = self.measured(**changes)
        verdict = facade.gate_verdict(line_id=self.line, measurements=measurements)
        return facade.decision_record(
            line_id=self.line,
            round_id=round_id or self.round,
            round_number=number,
            verdict=verdict,
            measurements=measurements,
            candidate=self.candidate.id,
            incumbent=self.incumbent.id,
        )

    def deploy(self, round_id: UUID | None = None) -> facade.LineDeployment:
        return facade.deployment_start(
            line_id=self.line,
            version_id=self.candidate.id,
            kind="deploy",
            round_id=round_id or self.round,
            actor="round",
        )


# Checks that spoil GOOD: the reply length fails G10, which two leads may let through.
TOO_LONG: dict[str, Any] = {
    "policy": replace(POLICY, length_ratio=Interval(1.6, 1.5, 1.7, 0.95, 400))
}
BROKEN: dict[str, Any] = {
    "integrity": (IntegrityFact("artifact_hashes", False, "model.safetensors differs"),)
}


def labels_from(
    outcomes: Sequence[float], *, candidate: UUID, incumbent: UUID, raters: int = 10
) -> list[GateLabel]:
    """One label a prompt; 1 for the candidate, 0.5 a tie, 0 against; sides alternate."""
    made = []
    for i, outcome in enumerate(outcomes):
        candidate_first = i % 2 == 0
        slots = (candidate, incumbent) if candidate_first else (incumbent, candidate)
        step = {1.0: 2, 0.5: 4, 0.0: 6}[outcome]  # as seen with the candidate in slot 0
        made.append(
            GateLabel(
                comparison_id=uuid.uuid4(),
                prompt_id=uuid.uuid4(),
                group=f"group-{i}",
                rater=f"rater-{i % raters}",
                slot_versions=slots,
                value=step if candidate_first else 8 - step,
                both_bad=False,
                at=START + timedelta(minutes=i),
                texts=("one", "two"),
            )
        )
    return made
