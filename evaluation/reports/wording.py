"""The sentences of a report."""

from __future__ import annotations

from evaluation.contracts import (
    CheckResult,
    GateVerdict,
    HumanLabels,
    RoundRecord,
    Verdict,
)
from evaluation.formatting import count, share, short, when

VERDICT_MEANING: dict[Verdict, str] = {
    "PROMOTE": "good",
    "REJECT": "bad",
    "INCONCLUSIVE": "attention",
}


def judges(record: RoundRecord) -> str:
    return "simulated annotators" if record.simulated else "people"


def version_name(name: str, fallback: str) -> str:
    return short(name) if name else fallback


def effect_sentence(record: RoundRecord) -> str:
    """The first thing that a lead wants to know: what the labels said, and of how many."""
    labels, incumbent = record.human, version_name(record.incumbent_version, "the incumbent")
    if labels is None or labels.labels == 0:
        return f"No {judges(record)} have compared it with {incumbent} yet."
    check = record.gate.check("G1") if record.gate else None
    said = f"{_direction(labels, check)} {incumbent} for {judges(record)}"
    if labels.win_rate is not None:
        said += f": {share(labels.win_rate)}"
    by = f" from {count(labels.annotators, 'annotator')}" if labels.annotators else ""
    return f"{said}, {count(labels.labels, 'label')}{by}."


def evidence_sentence(record: RoundRecord) -> str:
    """Why the plain interval is not what decides; empty where there is none, or no evidence is asked for."""
    labels, check = record.human, record.gate.check("G1") if record.gate else None
    if (
        labels is None
        or labels.win_rate is None
        or check is None
        or "e_value" not in check.thresholds
    ):
        return ""
    decides = (
        "The evidence decides, not the interval: it stays valid however often the labels are looked at "
        "and over all rounds of the line, whereas the interval is right for a single look only"
    )
    if check.status != "PASS" and labels.win_rate.low > 0.5:
        decides += ". So an interval above 50% is not yet proof"
    return f"{decides}. {predictions_sentence(labels)}".rstrip()


def predictions_sentence(labels: HumanLabels) -> str:
    """How predictions took part in the evidence; empty where they did not."""
    control = labels.control
    if control is None:
        return ""
    against = f"predictions for {count(control.reference, 'pair')} that nobody was asked about"
    took = f"What the held-out reward model predicts (correlation {control.correlation:.2f}) was"
    if control.coefficient == 0.0:
        return f"{took} compared with its {against} and counts nothing: it did not help, or those pairs are not alike."
    took += f" taken from the labels by a coefficient of {control.coefficient:.2f}, against its {against}"
    if control.labels_saved > 0:
        more = count(control.labels_saved, "more label")
        return f"{took}: without it, evidence as narrow would take {more}."
    return f"{took}: so far it saved no label."


def _direction(labels: HumanLabels, check: CheckResult | None) -> str:
    if check is not None and check.status == "PASS":
        return "Better than"
    if labels.win_rate is not None and labels.win_rate.high < 0.5:
        return "Worse than"
    if labels.win_rate is not None and labels.win_rate.low > 0.5 and check is None:
        return "Better than"
    return "Not shown better than"


def guardrail_sentence(gate: GateVerdict | None) -> str:
    """No guardrail failed. 2 are unresolved: Diversity, Length. 1 advisory: ..."""
    if gate is None:
        return "The gate has not decided yet."
    guards = [c for c in gate.checks if c.required and c.id != "G1" and not c.overridden]
    parts = []
    failed = [c.name for c in guards if c.status == "FAIL"]
    open_ = [c.name for c in guards if c.status == "UNRESOLVED"]
    let_through = [c.name for c in gate.checks if c.overridden]
    parts.append(_named(failed, "guardrail", "failed") or "No guardrail failed.")
    if open_:
        parts.append(_named(open_, "guardrail", "unresolved"))
    if let_through:
        parts.append(f"Let through by two leads: {', '.join(let_through)}.")
    warnings = advisories(gate)
    if warnings:
        kind = "1 advisory" if len(warnings) == 1 else f"{len(warnings)} advisories"
        parts.append(f"{kind}: {' '.join(warnings)}")
    return " ".join(parts)


def _named(names: list[str], thing: str, state: str) -> str:
    return f"{count(len(names), thing)} {state}: {', '.join(names)}." if names else ""


def advisories(gate: GateVerdict) -> list[str]:
    """What warns and does not block: advisory notes, advisory checks that did not pass, and what was
    not watched."""
    found = [c.advisory for c in gate.checks if c.advisory]
    found += [c.sentence for c in gate.checks if not c.in_force]
    return found + [c.sentence for c in gate.checks if not c.required and c.status == "FAIL"]


def standing(record: RoundRecord) -> str:
    """What became of the decision: deployed when and by whom, approved, or the state it is in."""
    if record.deployments:
        last = record.deployments[-1]
        served = "" if last.served_at else ", not served yet"
        if last.act == "rollback":
            return f"rolled back to {short(last.version)} {when(last.at)} by {last.by}{served}"
        return f"{short(last.version)} deployed {when(last.at)} by {last.by}{served}"
    if record.approvals:
        last_word = record.approvals[-1]
        act = "approved" if last_word.approved else "refused"
        return f"{act} {when(last_word.at)} by {last_word.person}"
    if record.gate is not None and record.gate.verdict == "REJECT":
        return f"{version_name(record.incumbent_version, 'the incumbent')} stays deployed"
    if record.state == "FAILED":
        return "the round stopped with an error"
    return record.state.replace("_", " ").lower()


def wanted_next(record: RoundRecord) -> list[str]:
    """What to collect so that open checks can be resolved."""
    gate, labels = record.gate, record.human
    if gate is None or not gate.wants:
        return []
    left = f"up to {count(labels.labels_left, 'more label')}" if labels else "labels"
    words = {
        "labels": f"Labels: {left} of candidate against incumbent, one per prompt, from many annotators.",
        "samples": "Samples: more replies of both policies to the evaluation prompts.",
    }
    return [words[want] for want in gate.wants if want in words]


OPTIMIZERS = {"ppo": "PPO", "dpo": "DPO", "best_of_n": "best of n"}


def optimizer_name(optimizer: str, adapter: str) -> str:
    """PPO, or DPO with LoRA; empty where no policy was trained."""
    name = OPTIMIZERS.get(optimizer, optimizer)
    return f"{name} with LoRA" if name and adapter == "lora" else name
