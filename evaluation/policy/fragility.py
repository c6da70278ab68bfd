"""G14: on how few labels what the win rate has shown hangs."""

from __future__ import annotations

from evaluation.contracts import GateMeasurements, GatePolicySettings
from evaluation.formatting import count
from evaluation.policy.findings import Finding, Thresholds, missing, more_labels


def check_fragility(m: GateMeasurements, settings: GatePolicySettings, t: Thresholds) -> Finding:
    """The labels that speak most for what G1 has shown, left out until it is no longer shown
    (Walsh 2014, the fragility index; Broderick, Giordano and Meager 2020)."""
    if m.labels is None or m.labels.labels == 0:
        return missing("On how many labels the win rate hangs", more_labels(m.labels))
    if m.labels_to_flip is None:
        sentence = "The win rate has shown nothing yet that could hang on a few labels."
        return Finding("UNRESOLVED", "nothing shown yet", sentence, more_labels(m.labels))
    part = m.labels_to_flip / m.labels.labels
    measured = f"{m.labels_to_flip} of {count(m.labels.labels, 'label')} ({part:.1%})"
    left_out = count(m.labels_to_flip, "label")
    verb = "speaks" if m.labels_to_flip == 1 else "speak"
    sentence = f"Leaving out the {left_out} that {verb} most for it undoes what the win rate shows."
    return Finding("PASS" if part >= t["share"] else "FAIL", measured, sentence)
