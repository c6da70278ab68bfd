"""Everything that the page of one round shows, in the order in which a lead reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby

from evaluation.contracts import (
    ApprovalRecord,
    LineageItem,
    OverrideRecord,
    RoundRecord,
    SettingChange,
)
from evaluation.formatting import count, in_words, setting_called, short, when
from evaluation.reports import charts
from evaluation.reports.models import RoundReport
from evaluation.reports.naming import people_named
from evaluation.reports.pages import tables
from evaluation.reports.pages.consistency import consistency_section
from evaluation.reports.pages.gate_table import (
    GateRow,
    LinkPanel,
    evidence_mark,
    gate_folded,
    gate_rows,
    link_panels,
)
from evaluation.reports.pages.judge import judge_section
from evaluation.reports.pages.parts import Figure, Mark, Table, figure
from evaluation.reports.pages.remarks import remark_tables
from evaluation.reports.pages.reward_matrix import reward_matrix_section
from evaluation.reports.pages.reward_suites import reward_suites_section
from evaluation.reports.pages.samples import Sample, samples
from evaluation.reports.pages.signal_opinion import signal_opinion_section
from evaluation.reports.pages.suite_sections import (
    SuiteSection,
    capability_section,
    safety_section,
)
from evaluation.reports.wording import (
    VERDICT_MEANING,
    effect_sentence,
    evidence_sentence,
    guardrail_sentence,
    standing,
    wanted_next,
)


@dataclass(frozen=True)
class VerdictCard:
    """The decision in one look; `meaning` is good, attention, bad or neutral."""

    word: str
    meaning: str
    facts: tuple[tuple[str, str], ...]
    effect: str
    evidence: Mark | None
    decides: str
    guardrails: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Signed:
    """An override or approval as a sentence with its date."""

    sentence: str
    detail: str


@dataclass(frozen=True)
class ReportPage:
    """`record` is the report's, with names in place of ids; the rest is what it does not say in words.

    Each item of `lineage` comes with whether its identity may be shown shortened.
    """

    report: RoundReport
    record: RoundRecord
    verdict: VerdictCard
    gate_rows: tuple[GateRow, ...]
    gate_folded: str
    links: tuple[LinkPanel, ...]
    samples: tuple[Sample, ...]
    samples_shown: int
    samples_more: str
    mismatch: Figure | None
    best_of_n: Figure | None
    curves: tuple[Figure, ...]
    truth: Table | None
    changed: tuple[SettingChange, ...]
    tables: tuple[Table, ...]
    slices: Table | None
    data: Table | None
    remarks: tuple[Table, ...]
    people: tuple[Table, ...]
    lineage: tuple[tuple[LineageItem, bool], ...]
    weaker: tuple[Signed, ...]
    overrides: tuple[Signed, ...]
    approvals: tuple[Signed, ...]
    safety: SuiteSection
    capability: SuiteSection
    reward_suites: SuiteSection
    consistency: SuiteSection
    reward_matrix: SuiteSection
    judge: SuiteSection
    signal_opinion: SuiteSection
    limits: tuple[str, ...]
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class _Drawn:
    links: tuple[LinkPanel, ...]
    mismatch: Figure | None
    best_of_n: Figure | None
    curves: tuple[Figure, ...]


@lru_cache(maxsize=32)
def _drawn(report: RoundReport) -> _Drawn:
    """The charts, most of the page's work: drawn once, since a stored report never changes and no
    person is named in them."""
    curves = (figure(chart) for chart in charts.training_charts(report.frozen))
    return _Drawn(
        links=link_panels(report.frozen),
        mismatch=figure(charts.mismatch(report.frozen)),
        best_of_n=figure(charts.best_of_n(report.frozen)),
        curves=tuple(curve for curve in curves if curve),
    )


def report_page(report: RoundReport) -> ReportPage:
    record = people_named(report.frozen)
    drawn = _drawn(report)
    pairs, shown = samples(record)
    rows = gate_rows(record)
    kept_tables = (
        tables.effect_table,
        tables.policy_table,
        tables.reward_model_table,
        tables.criterion_table,
    )
    by_person = (tables.verdict_table, tables.rater_table)
    return ReportPage(
        report=report,
        record=record,
        verdict=_verdict_card(record),
        gate_rows=rows,
        gate_folded=gate_folded(rows),
        links=drawn.links,
        samples=pairs,
        samples_shown=shown,
        samples_more=f"{count(len(pairs) - shown, 'more pair')}" if len(pairs) > shown else "",
        mismatch=drawn.mismatch,
        best_of_n=drawn.best_of_n,
        curves=drawn.curves,
        truth=tables.truth_table(record),
        changed=tuple(
            SettingChange(setting_called(c.path), c.before, c.after)
            for c in record.settings_changed
        ),
        tables=tuple(table for build in kept_tables if (table := build(record))),
        slices=tables.slice_table(record),
        data=tables.label_table(record),
        remarks=remark_tables(record),
        people=tuple(table for build in by_person if (table := build(record))),
        lineage=tuple(_lineage(item) for item in record.lineage),
        weaker=tuple(_weaker(record)),
        overrides=tuple(_override(item) for item in record.overrides),
        approvals=tuple(_approval(item) for item in record.approvals),
        safety=safety_section(record),
        capability=capability_section(record),
        reward_suites=reward_suites_section(record),
        consistency=consistency_section(record),
        reward_matrix=reward_matrix_section(record),
        judge=judge_section(record),
        signal_opinion=signal_opinion_section(record),
        limits=_limits(record),
        wanted=tuple(wanted_next(record)),
    )


def _verdict_card(record: RoundRecord) -> VerdictCard:
    gate = record.gate
    decided = gate.verdict if gate else None
    return VerdictCard(
        word=decided or "NOT DECIDED",
        meaning=VERDICT_MEANING[decided] if decided else "neutral",
        facts=tuple(_facts(record)),
        effect=effect_sentence(record),
        evidence=evidence_mark(record),
        decides=evidence_sentence(record),
        guardrails=guardrail_sentence(gate),
        reasons=gate.reasons if gate and decided != "PROMOTE" else (),
    )


def _facts(record: RoundRecord) -> Iterator[tuple[str, str]]:
    """When the round was decided and started, by what, and what became of the decision."""
    decided = next((s.entered_at for s in record.states if s.name == "DECIDED"), "")
    if record.decided_at:
        version = f"version {record.gate_policy_version} of the gate policy"
        yield "Decided", f"{when(record.decided_at)}, by {version}"
    elif decided:  # as stored by an earlier release
        yield "Decided", when(decided)
    yield "Round started", f"{when(record.created_at)} {record.trigger}".rstrip()
    yield "Since then", standing(record)


def _limits(record: RoundRecord) -> tuple[str, ...]:
    """What holds for every report, after what the record itself warns of."""
    limits = [*record.limits]
    if record.simulated and not any("simulated" in limit for limit in limits):
        limits.append(
            "The labels come from simulated annotators: this report says nothing about real people."
        )
    limits.append(
        "The intervals of the guardrails hold one by one, not all at once; the evidence for the "
        "win rate holds at every look at the labels."
    )
    return tuple(limits)


def _lineage(item: LineageItem) -> tuple[LineageItem, bool]:
    return replace(item, name=in_words(item.name)), item.identity != short(item.identity)


def _weaker(record: RoundRecord) -> Iterator[Signed]:
    """What is weaker than by default in the policy that judged, one line for each version that made it so."""
    for version, items in groupby(
        sorted(record.weaker, key=lambda item: item.version), key=lambda item: item.version
    ):
        found = tuple(items)
        first = found[0]
        says = " ".join(item.says for item in found)
        second = f" and {first.confirmed_by}" if first.confirmed_by else " alone"
        why = f": {first.reason}" if first.reason else "."
        yield Signed(
            f"Judged under a gate policy that is weaker than the default. {says}",
            f"{first.requested_by}{second} let it be so in version {version}, {when(first.at)}{why}",
        )


def _override(item: OverrideRecord) -> Signed:
    sentence = f"{item.check_id} was let through by {item.requested_by} and {item.confirmed_by}"
    sentence += f", until {when(item.expires_at)}: {item.reason}"
    outcome = f"In the next round: {item.outcome}" if item.outcome else ""
    return Signed(sentence, outcome)


def _approval(item: ApprovalRecord) -> Signed:
    act = "approved" if item.approved else "refused"
    return Signed(f"{item.person} {act} the deployment, {when(item.at)}.", item.reason)
