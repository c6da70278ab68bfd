"""A line with policies in the registry, and verdicts to record on them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.utils import timezone

from annotation.contracts import GateLabel
from evaluation import facade
from evaluation.contracts import GateMeasurements, GatePolicySettings, IntegrityFact, Interval
from evaluation.facade import JudgedRound
from evaluation.gates.models import Decision, Deployment, GatePolicy, GateTest
from evaluation.gates.policies import gate_policy_current
from evaluation.gates.records import LineDeployment
from evaluation.gates.selectors import deployment_to_record
from evaluation.gates.services.decisions import decision_record
from evaluation.policy import error_level, gate_decide
from tests.evaluation.policy.evidence import POLICY, evidence_on
from tests.support.gate_policies import policy_put
from training import facade as training

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def policy_create(line: UUID, folder: Path, name: str) -> training.ModelVersionRecord:
    """A registered policy whose files differ by name; nothing here loads its weights."""
    source = folder / f"source-{uuid.uuid4()}"
    source.mkdir(parents=True)
    (source / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (source / "model.safetensors").write_bytes(name.encode())
    return training.model_version_import(line_id=line, kind="policy", path=source, name=name)


def run_left(folder: Path, **files: Any) -> training.RunRecord:
    """A finished policy evaluation that left `files`; it judged on one prompt group."""
    artifacts = []
    for name, content in files.items():
        path = folder / f"{name}-{uuid.uuid4()}.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        artifacts.append({"name": name, "path": path.name, "sha256": ""})
    prompts = folder / "prompts.jsonl"
    prompts.write_text('{"group": "judged on"}\n')
    unsaid: dict[str, Any] = dict.fromkeys(training.RunRecord.__dataclass_fields__)
    return training.RunRecord(
        **{**unsaid, "directory": folder, "artifacts": tuple(artifacts),
           "spec": {"inputs": {"prompts": asdict(training.input_from_path(prompts))}}}
    )  # fmt: skip


def sampled(texts: list[tuple[str, str]]) -> str:
    """The samples of a policy evaluation: one prompt each, of (candidate's, incumbent's) text."""
    sides = [
        {
            "prompt_id": str(uuid.uuid4()),
            "sample": sample,
            "candidate": {"text": one, "scores": {"train": 1.0}},
            "incumbent": {"text": two, "scores": {"train": 0.0}},
        }
        for one, two in texts
        for sample in (0, 1)  # a second sample measures diversity; people are not shown it
    ]
    return "".join(json.dumps(row) + "\n" for row in sides)


@dataclass
class LineWorld:
    """A line with a deployed first policy and a candidate that its round 1 judges."""

    folder: Path
    settings = GatePolicySettings()
    line: UUID = field(default_factory=uuid.uuid4)
    round: UUID = field(default_factory=uuid.uuid4)

    def __post_init__(self) -> None:
        self.incumbent = policy_create(self.line, self.folder, "policy v1")
        self.candidate = policy_create(self.line, self.folder, "policy v2")

    def deploy_first(self) -> LineDeployment:
        return facade.deployment_start(
            line_id=self.line,
            version_id=self.incumbent.id,
            kind="initial",
            round_id=None,
            actor="set-up",
        )

    def measured(self, **changes: Any) -> GateMeasurements:
        """Evidence that passes every check, on this world's two policies."""
        return evidence_on(self.candidate.sha256, self.incumbent.sha256, **changes)

    def decide(
        self,
        *,
        round_id: UUID | None = None,
        number: int = 1,
        candidate: UUID | None = None,
        **changes: Any,
    ) -> Decision:
        """Decide a round on `measured(**changes)` and record it."""
        measurements = self.measured(**changes)
        policy = gate_policy_current(self.line)
        verdict = gate_decide(measurements, policy.gate_settings)
        judged = self.judged(
            round_id=round_id or self.round,
            number=number,
            candidate=candidate or self.candidate.id,
        )
        return decision_record(judged, policy, measurements, verdict)

    def policy_weaken(self, settings: GatePolicySettings) -> GatePolicy:
        return policy_put(self.line, settings)

    def judged(self, **changes: Any) -> JudgedRound:
        """Round 1 as the rounds would tell of it; nothing has measured it yet."""
        now = timezone.now()
        told: dict[str, Any] = {
            "line_id": self.line,
            "round_id": self.round,
            "number": 1,
            "candidate": self.candidate.id,
            "incumbent": self.incumbent.id,
            "reward_models": (),
            "snapshot": None,
            "policy_run": None,
            "reward_run": None,
            "started_at": now,
            "waiting_since": now,
        }
        return JudgedRound(**{**told, **changes})

    def deploy(self, round_id: UUID | None = None) -> LineDeployment:
        return facade.deployment_start(
            line_id=self.line,
            version_id=self.candidate.id,
            kind="deploy",
            round_id=round_id or self.round,
            actor="round",
        )


def a_test(judged: JudgedRound, settings: GatePolicySettings) -> GateTest:
    """The first test of a line, as it would be registered for this round; not stored."""
    assert judged.candidate is not None
    return GateTest(
        round=judged.round_id,
        line=judged.line_id,
        number=judged.number,
        candidate=judged.candidate,
        incumbent=judged.incumbent,
        settings=settings.to_json(),
        test_number=1,
        discoveries=0,
        error_spent=0.0,
        level=error_level(0.0, 0, settings.alpha),
        labels=300,
    )


def deployment_get(deployment_id: UUID) -> LineDeployment:
    """A move of the pointer as it stands now."""
    return deployment_to_record(Deployment.objects.get(pk=deployment_id))


def previous_of(deployment: LineDeployment) -> UUID | None:
    """What was deployed before this move."""
    return Deployment.objects.values_list("previous__version", flat=True).get(pk=deployment.id)


# Checks that spoil GOOD: the reply length fails G10, which two leads may let through.
TOO_LONG: dict[str, Any] = {
    "policy": replace(POLICY, length_ratio=Interval(1.6, 1.5, 1.7, 0.95, 400))
}
BROKEN: dict[str, Any] = {
    "integrity": (IntegrityFact("artifact_hashes", False, "model.safetensors differs"),)
}


def labels_from(
    outcomes: Sequence[float],
    *,
    candidate: UUID,
    incumbent: UUID,
    raters: int = 10,
    texts: Sequence[tuple[str, str]] = (),
) -> list[GateLabel]:
    """One label a prompt; 1 for the candidate, 0.5 a tie, 0 against; sides alternate.

    `texts` are (candidate's, incumbent's), of one length unless given.
    """
    made = []
    for i, outcome in enumerate(outcomes):
        candidate_first = i % 2 == 0
        slots = (candidate, incumbent) if candidate_first else (incumbent, candidate)
        ours, theirs = texts[i] if texts else ("one", "two")
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
                texts=(ours, theirs) if candidate_first else (theirs, ours),
            )
        )
    return made
