"""The plain tables of a report: reward model, policy, data, and what is true in a simulated world."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evaluation.contracts import (
    PolicyMeasurements,
    RankedLabels,
    RaterLabels,
    RoundRecord,
    SideSummary,
    SplitMeasurements,
)
from evaluation.formatting import NOT_MEASURED, called, count, number, plain, share
from evaluation.reports.pages.parts import Row, Table
from evaluation.reports.wording import judges


def reward_model_table(record: RoundRecord) -> Table | None:
    if record.reward_model is None or not record.reward_model.splits:
        return None
    splits = record.reward_model.splits
    columns = tuple(splits.values())
    lines: list[tuple[str, Callable[[SplitMeasurements], str]]] = [
        ("Pairs (ties among them)", lambda s: f"{s.pairs:,} ({s.ties:,})"),
        ("Accuracy", lambda s: share(s.accuracy)),
        ("Accuracy of the held-out model", lambda s: share(s.held_out_accuracy)),
        ("Accuracy of length alone", lambda s: share(s.length_baseline)),
        ("Negative log-likelihood (nats)", lambda s: f"{s.nll:.3f}"),
        (
            "Calibration error (chance, 95th percentile)",
            lambda s: f"{s.ece:.3f} ({s.ece_null_95:.3f})",
        ),
        ("Temperature", lambda s: f"{s.temperature:.2f}"),
        *_calibrated_lines(columns),
        *_correlation_lines(columns),
        ("Reward follows length (correlation)", lambda s: f"{s.length_correlation:.2f}"),
    ]
    rows = tuple(Row(name, tuple(read(column) for column in columns)) for name, read in lines)
    return Table("The reward model on pairs that it was not trained on.", tuple(splits), rows)


def _calibrated_lines(
    columns: Sequence[SplitMeasurements],
) -> list[tuple[str, Callable[[SplitMeasurements], str]]]:
    """The figures with the temperature that the artifact keeps; records of before have none."""
    if all(column.nll_calibrated is None for column in columns):
        return []
    return [
        ("Negative log-likelihood, calibrated on validation", lambda s: plain(s.nll_calibrated, 3)),
        ("Calibration error, calibrated on validation", lambda s: plain(s.ece_calibrated, 3)),
    ]


def _correlation_lines(
    columns: Sequence[SplitMeasurements],
) -> list[tuple[str, Callable[[SplitMeasurements], str]]]:
    """Records of before, and rounds without a held-out model, have none."""
    if all(column.held_out_correlation is None for column in columns):
        return []
    return [("Correlation with the held-out model", lambda s: number(s.held_out_correlation))]


def criterion_table(record: RoundRecord) -> Table | None:
    """A reward that is a mix of criteria, one by one; None for one of the overall votes."""
    split = record.reward_model.split("test", "validation") if record.reward_model else None
    if split is None or not split.criteria:
        return None
    rows = tuple(
        Row(
            called(c.criterion).capitalize(),
            (
                f"{c.weight:.0%}",
                f"{c.pairs:,} ({c.ties:,})",
                share(c.accuracy),
                share(c.mix_accuracy),
            ),
        )
        for c in split.criteria
    )
    columns = ("weight", "pairs (ties among them)", "accuracy of its head", "accuracy of the mix")
    return Table("The criteria that make up the reward, each on the votes on it.", columns, rows)


def slice_table(record: RoundRecord) -> Table | None:
    split = record.reward_model.split("test", "validation") if record.reward_model else None
    if split is None or not split.slices:
        return None
    rows = tuple(
        Row(f"{called(s.dimension).capitalize()}: {s.value}", (f"{s.pairs:,}", share(s.accuracy)))
        for s in split.slices
    )
    return Table("Accuracy of the reward model by slice.", ("pairs", "accuracy"), rows)


def policy_table(record: RoundRecord) -> Table | None:
    """Candidate beside incumbent, on the same prompts."""
    policy = record.policy
    sides = policy.sides if policy else {}
    candidate, incumbent = sides.get("candidate"), sides.get("incumbent")
    if policy is None or candidate is None or incumbent is None:
        return None
    lines: list[tuple[str, Callable[[SideSummary], str]]] = [
        ("Training reward model (z)", lambda s: number(s.train_score)),
        ("Held-out reward model (z)", lambda s: number(s.held_out_score)),
        ("Tokens per reply", lambda s: number(s.tokens, digits=1)),
        ("Tokens per reply, median", lambda s: plain(s.tokens_median, digits=1)),
        ("Replies that end by themselves", lambda s: share(s.ended_share)),
        ("Distinct words, share of all", lambda s: plain(s.distinct_1)),
        ("Distinct word pairs, share of all", lambda s: plain(s.distinct_2)),
        ("Spread of the reward models (z)", lambda s: number(s.ensemble_std)),
    ]
    rows = tuple(Row(name, (read(candidate), read(incumbent))) for name, read in lines)
    caption = f"Both policies on the same {policy.prompts:,} evaluation prompts."
    return Table(caption, ("candidate", "incumbent"), rows)


def effect_table(record: RoundRecord) -> Table | None:
    policy = record.policy
    if policy is None:
        return None
    together = record.mismatch.correlation if record.mismatch else None
    rows = [
        Row("Gain by the training reward model", (number(policy.train_gain, "z"),)),
        Row("Gain by the held-out reward model", (number(policy.held_out_gain, "z"),)),
        *_kl_rows(policy),
        Row("Length", (number(policy.length_ratio, "times"),)),
        Row("Gain left at equal length", (share(policy.length_free_share),)),
        *(Row(f"Diversity: {called(n)}", (number(i, "times"),)) for n, i in policy.diversity.items()),
        Row("Wins by the training reward model", (share(policy.train_win_rate),)),
        Row("Wins by the held-out reward model", (share(policy.held_out_win_rate),)),
        Row("Disagreement of the ensemble", (number(policy.ensemble_std_ratio, "times"),)),
        Row("Correlation of both rewards' steps in training (90% interval)", (number(together),)),
    ]  # fmt: skip
    kept = tuple(row for row in rows if row.cells != (NOT_MEASURED,))
    return Table("Candidate against incumbent, with 95% intervals.", ("effect",), kept)


def _kl_rows(policy: PolicyMeasurements) -> list[Row]:
    return [Row(f"KL to the {to}", (number(kl, "nats"),)) for to, kl in policy.kl.items()]


def label_table(record: RoundRecord) -> Table | None:
    labels = record.labels
    if labels is None:
        return None
    rows = [
        Row("Training labels (new since the last round)", (f"{labels.training:,} ({labels.fresh:,})",)),
        *([Row("Of these, released by earlier gates", (f"{labels.released:,}",))] if labels.released else []),
        *_ranking_rows(labels.rankings),
        Row("Labels of this round's gate", (f"{labels.gate:,}",)),
        *_prompt_rows(record),
        Row("Ties", (f"{labels.ties:,}",)),
        Row("Both bad", (f"{labels.both_bad:,}",)),
        Row("Agreement on shared pairs", (share(labels.agreement),)),
        Row("Krippendorff's alpha", (number(labels.krippendorff_alpha),)),
        Row("Human ceiling", (share(labels.human_ceiling),)),
        Row("Left side chosen", (share(labels.position_bias),)),
    ]  # fmt: skip
    kept = tuple(row for row in rows if row.cells != (NOT_MEASURED,))
    return Table(f"What the {judges(record)} said.", ("value",), kept)


def _ranking_rows(found: Sequence[RankedLabels]) -> list[Row]:
    """Labels that came as rankings, by how many answers they put in order; rounds without any have no row."""
    return [
        Row(
            f"Rankings of {each.answers} answers on the line when the round started",
            (f"{each.rankings:,} ({each.pairs:,} pairs, from {count(each.raters, 'annotator')})",),
        )
        for each in found
    ]


def _prompt_rows(record: RoundRecord) -> list[Row]:
    """What the gate asked nobody, and how fresh the prompts were that it asked about."""
    rows, wear = [], record.wear
    if record.identical_pairs and record.policy:
        of = f"{record.identical_pairs:,} of {record.policy.prompts:,}"
        rows.append(Row("Pairs of one and the same text: ties without a label", (of,)))
    if wear is not None:
        seen = f"{wear.seen_before:,} of {wear.judged:,}; {wear.fresh_left:,} fresh ones left"
        rows.append(Row("Prompts judged in earlier rounds too", (seen,)))
    return rows


def rater_table(record: RoundRecord) -> Table | None:
    raters = record.labels.raters if record.labels else ()
    if not raters:
        return None
    by_labels = sorted(raters, key=lambda r: -r.labels - r.rankings)
    kind = "simulated annotators" if record.simulated else "annotators (by pseudonym)"
    ranked = any(r.rankings for r in raters)
    habits = ("agreement", "left side chosen", "time per label")
    headings = ("labels of pairs", "rankings", *habits) if ranked else ("labels", *habits)
    said = f"What the {kind} had said on the line when the round started."
    if ranked:
        said += " A ranking counts once; agreement, sides and times are of pairs."
    return Table(said, headings, tuple(_rater_row(r, ranked=ranked) for r in by_labels))


def _rater_row(rater: RaterLabels, *, ranked: bool) -> Row:
    seconds = NOT_MEASURED if rater.median_seconds is None else f"{rater.median_seconds:.1f} s"
    counts = (f"{rater.labels:,}", f"{rater.rankings:,}") if ranked else (f"{rater.labels:,}",)
    cells = (*counts, share(rater.agreement), share(rater.position_bias), seconds)
    return Row(rater.rater, cells)


def verdict_table(record: RoundRecord) -> Table | None:
    """Whether one person's taste carries the gate: each rater's win rate of the candidate."""
    if not record.verdicts:
        return None
    for_it = sum(verdict.win_rate.estimate > 0.5 for verdict in record.verdicts)
    who = "simulated annotators" if record.simulated else "annotators (by pseudonym)"
    rows = tuple(
        Row(each.rater, (f"{each.labels:,}", share(each.win_rate), f"{each.ties:,}"))
        for each in record.verdicts
    )
    return Table(
        f"What the gate's {who} said of the candidate; {for_it} of {len(rows)} preferred it more often than not.",
        ("gate labels", "candidate preferred", "ties"),
        rows,
    )


def truth_table(record: RoundRecord) -> Table | None:
    """What the platform believes beside what is so; only worlds with a hidden gold have it."""
    truth = record.truth
    if truth is None:
        return None
    wins = record.human.win_rate if record.human else None
    gain = record.policy.held_out_gain if record.policy else None
    rows = (
        Row("Wins against the incumbent", (share(wins), share(truth.win_rate))),
        Row(
            "Gain over the incumbent, each on its own scale",
            (number(gain, "z by the held-out reward model"), number(truth.gain, "points of gold")),
        ),
    )
    return Table(
        "What the platform believes, and what the hidden scorer of this simulated world says. "
        "No decision reads the truth.",
        ("believed", "truth"),
        rows,
    )
