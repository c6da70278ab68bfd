"""The gate table and the three links of the loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evaluation.contracts import CheckResult, HumanLabels, RoundRecord
from evaluation.formatting import in_words, number, share
from evaluation.policy.model_checks import held_out_expected
from evaluation.policy.registry import POLICY_EVALUATION, REWARD_EVALUATION, REWARD_POLICY
from evaluation.reports import charts
from evaluation.reports.pages.parts import Figure, Mark, figure, mark
from evaluation.reports.wording import judges
from evaluation.statistics.planning import fixed_sample_labels

# The threshold that lies on the axis of a check's interval; further ones are of other numbers.
AXIS_THRESHOLD = {
    "G0": "gold_accuracy",
    "G1": "win_rate",
    "G2": "win_rate",
    "G3": "held_out_gain",
    "G4": "budget",
    "G5": "discrimination",
    "G7": "correlation",
    "G8": "margin",
    "G9": "rise",
    "G10": "ratio",
    "G11": "ratio",
    "G12": "own_prompt",
    "G13": "ratio",
    "G15": "win_rate",
}
FORMER_AXIS_THRESHOLD = {"G5": "accuracy"}  # of decisions that earlier releases recorded
AT_MOST = {"G4", "G8", "G9", "G10", "G13"}
SHARES = {"G0", "G1", "G2", "G5", "G8", "G9", "G12", "G15"}
UNITS = {"G3": "z", "G4": "nats", "G10": "times", "G11": "times", "G13": "times"}


@dataclass(frozen=True)
class GateRow:
    """One check: what it asks, what was measured, drawn and in words, and how it came out."""

    check: CheckResult
    asked: str
    meaning: str
    word: str
    mark: Mark | None

    @property
    def quiet(self) -> bool:
        """Passed or not watched: on a phone its row is folded."""
        return self.meaning in ("good", "neutral")


@dataclass(frozen=True)
class LinkPanel:
    """One link that can break: how its checks came out, one sentence, one chart."""

    title: str
    meaning: str
    word: str
    sentence: str
    checks: str
    figure: Figure | None
    empty: str


def gate_rows(record: RoundRecord) -> tuple[GateRow, ...]:
    return tuple(_gate_row(check, record) for check in record.gate.checks) if record.gate else ()


def gate_folded(rows: Sequence[GateRow]) -> str:
    """9 checks passed, 3 not watched"""
    passed = sum(row.meaning == "good" for row in rows)
    unwatched = sum(row.meaning == "neutral" for row in rows)
    parts = ((passed, "passed"), (unwatched, "not watched"))
    said = [f"{number} {word}" for number, word in parts if number]
    return f"Checks: {', '.join(said)}" if said else ""


def evidence_mark(record: RoundRecord) -> Mark | None:
    """The evidence that people prefer the candidate against what is needed, both as powers of ten."""
    labels, check = record.human, record.gate.check("G1") if record.gate else None
    needed = check.thresholds.get("e_value", 0.0) if check else 0.0
    if labels is None or check is None or needed <= 1.0:
        return None
    reached = max(labels.e_value, labels.max_e_value, 1.0)
    end, threshold = math.log10(reached), math.log10(needed)
    return Mark(
        low=0.0,
        point=end,
        high=end,
        threshold=threshold,
        minimum=0.0,
        maximum=1.15 * max(end, threshold),
        meaning=_outcome(check)[0],
        says=f"evidence {reached:.3g} ({needed:.3g} needed)",
    )


def _gate_row(check: CheckResult, record: RoundRecord) -> GateRow:
    meaning, word = _outcome(check)
    names = (AXIS_THRESHOLD.get(check.id, ""), FORMER_AXIS_THRESHOLD.get(check.id, ""))
    threshold = next((check.thresholds[n] for n in names if n in check.thresholds), None)
    drawn = mark(check.interval, threshold=threshold, meaning=meaning, says=check.measured)
    asked = _asked(check, threshold) if check.interval else ""
    if check.id == "G1" and (evidence := evidence_mark(record)):
        drawn, asked = evidence, ""  # the measurement says what is needed
    spoken = replace(
        check,
        measured=in_words(check.measured),
        sentence=in_words(check.sentence),
        advisory=in_words(check.advisory),
    )
    return GateRow(spoken, asked, meaning, word, drawn)


def _outcome(check: CheckResult) -> tuple[str, str]:
    """(meaning, word) of a check's result."""
    if check.overridden:
        return "attention", "Let through"
    if not check.in_force:
        return "neutral", "Not watched"
    if check.status == "PASS":
        return "good", "Pass"
    if not check.required:
        return "attention", "Warning" if check.status == "FAIL" else "Open"
    return ("bad", "Fail") if check.status == "FAIL" else ("attention", "Unresolved")


def _asked(check: CheckResult, threshold: float | None) -> str:
    """at most 10 nats; at least 55%; above 50%"""
    if threshold is None:
        return ""
    amount = f"{threshold:.3g} {UNITS.get(check.id, '')}".rstrip()
    value = f"{threshold:.0%}" if check.id in SHARES else amount
    if check.id == "G9" and ";" in check.measured:  # the two rates have margins of their own
        return f"the bar: at most {value}"
    if check.id == "G12":  # flips and probes have thresholds of their own
        return f"the bar: at least {value}"
    return f"{_relation(check.id)} {value}"


def _relation(check_id: str) -> str:
    """How a check wants its measurement to stand to its threshold."""
    if check_id == "G7":
        return "not clearly under"
    return "at most" if check_id in AT_MOST else "above" if check_id in {"G1", "G3"} else "at least"


def link_panels(record: RoundRecord) -> tuple[LinkPanel, ...]:
    return (
        _panel(
            record,
            REWARD_POLICY,
            "Reward model ↔ policy",
            _reward_policy_sentence(record),
            charts.reward_by_distance(record),
            "No policy was trained in this round, so there is no curve.",
        ),
        _panel(
            record,
            REWARD_EVALUATION,
            "Reward model ↔ evaluation",
            _reward_evaluation_sentence(record),
            charts.reliability(record),
            "The reward model was not evaluated on held-out pairs, so there is no curve.",
        ),
        _panel(
            record,
            POLICY_EVALUATION,
            "Policy ↔ evaluation",
            _policy_evaluation_sentence(record),
            charts.evidence(record),
            "Fewer than two labels have come in, so there is no curve.",
        ),
    )


def _panel(
    record: RoundRecord,
    link: str,
    title: str,
    sentence: str,
    chart: charts.Chart | None,
    empty: str,
) -> LinkPanel:
    checks = [c for c in record.gate.checks if c.link == link] if record.gate else []
    meaning, word = _worst(checks)
    names = ", ".join(c.id for c in checks)
    return LinkPanel(title, meaning, word, sentence, names, figure(chart), empty)


def _worst(checks: Sequence[CheckResult]) -> tuple[str, str]:
    """The worst outcome among a link's checks stands for the link."""
    outcomes = [_outcome(check) for check in checks]
    for wanted, word in (("bad", "Broken"), ("attention", "Watch"), ("good", "Holds")):
        if any(meaning == wanted for meaning, _ in outcomes):
            return wanted, word
    return "neutral", "Not checked"


def _reward_policy_sentence(record: RoundRecord) -> str:
    policy = record.policy
    if policy is None:
        return "The policy has not been evaluated."
    train, held = policy.train_gain, policy.held_out_gain
    kl = policy.kl.get("reference")
    far = f" at {kl.estimate:.1f} nats from the reference" if kl else ""
    if train.estimate <= 0:
        return (
            f"The reward model that was optimised sees no gain ({number(train, 'z')}), one that "
            f"the training never saw {number(held, 'z')}{far}."
        )
    return (
        f"The reward model that was optimised sees a gain of {train.estimate:.2f} z; one that the "
        f"training never saw sees {held.estimate:.2f} z, {held.estimate / train.estimate:.0%} of it"
        f"{_expected(record, train.estimate)}{far}."
    )


def _expected(record: RoundRecord, gain: float) -> str:
    """What the models' correlation lets expect of the one that training never saw, as in G3."""
    alike = record.reward_model.held_out_correlation if record.reward_model else None
    if alike is None:
        return ""
    return f" (at most {held_out_expected(gain, alike):.2f} z could be expected)"


def _reward_evaluation_sentence(record: RoundRecord) -> str:
    split = record.reward_model.split("test", "validation") if record.reward_model else None
    if split is None:
        return "The reward model has not been evaluated on held-out pairs."
    ceiling = record.labels.human_ceiling if record.labels else None
    said = f"The reward model agrees with {share(split.accuracy)} of held-out labels"
    said += f"; a length-only model with {split.length_baseline.estimate:.0%}"
    if ceiling is not None:
        said += f", {judges(record)} with each other {ceiling.estimate:.0%}"
    told = record.fresh_discrimination
    if told is not None:
        said += f". Of a fresh pair that the candidate won and one that it lost it ranks {share(told)} rightly"
    return said + "."


def _policy_evaluation_sentence(record: RoundRecord) -> str:
    labels = record.human
    if labels is None or labels.labels == 0:
        return f"No {judges(record)} have compared candidate and incumbent yet."
    check = record.gate.check("G1") if record.gate else None
    needed = check.thresholds.get("e_value") if check else None
    peak = max(labels.e_value, labels.max_e_value)
    said = f"{labels.wins} wins, {labels.ties} ties and {labels.losses} losses in {labels.labels} labels"
    said += f"; the evidence that it is better reached {peak:.3g}"
    said = f"{said}, where {needed:.3g} is needed." if needed else f"{said}."
    return said + _price(labels, needed)


def _price(labels: HumanLabels, needed: float | None) -> str:
    """What the decision cost beside a test that knew beforehand what was to be found."""
    decided = labels.wins + labels.losses
    if not needed or needed <= 1 or max(labels.e_value, labels.max_e_value) < needed or not decided:
        return ""
    effect = labels.wins / decided
    if not 0.5 < effect < 1:
        return ""
    least = fixed_sample_labels(effect, level=1 / needed, ties=labels.ties / labels.labels)
    return (
        f" A test of fixed size that had known this win rate would have taken about {least} labels"
        " to show it four times in five."
    )
