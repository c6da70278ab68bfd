"""Mutants that no test can notice, since the changed code does the same: (function, change) -> reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str], str] = {
    (
        "outerloop.rounds.steps.judging.x_evaluate_policy",
        '-            for name, side in zip(("candidate", "incumbent"), sides, strict=True)\n'
        '+            for name, side in zip(("candidate", "incumbent"), sides, strict=False)',
    ): "there are two sides, written one line above",
    (
        "annotation.comparisons.services.queue.x_queue_lease",
        '-    rows = list(mine.select_for_update(of=("self",)).values_list("pk", flat=True))\n'
        '+    rows = list(mine.select_for_update(of=("self",)).values_list(flat=True))',
    ): "without a name the first field is given, which is the key",
    (
        "evaluation.statistics.judging.x_corrected_win_rate",
        "-    f = np.asarray(judged, dtype=np.float64)\n+    f = np.asarray(judged, dtype=None)",
    ): "it is handed shares, which are floats already",
    (
        "evaluation.statistics.curves.x__spearman",
        "-    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)\n"
        "+    a, b = a - a.mean(None, keepdims=True), b - b.mean(-1, keepdims=True)",
    ): "ranks: every row has the same mean",
    (
        "evaluation.statistics.intervals.x_two_way_share_interval",
        "-    fewer = min(count for _, count in coded[:2])\n"
        "+    fewer = min(count for _, count in coded[:3])",
    ): "there are never fewer crossings than clusters of either kind",
    (
        "annotation.comparisons.services.settling.x_pair_settle",
        "-        Answer(values={OVERALL: value}, both_bad=both_bad, rationale=reason),\n"
        "+        Answer(values=None, both_bad=both_bad, rationale=reason),",
    ): "what is stored are the values by criterion, which are given beside the answer",
    (
        "annotation.comparisons.services.queue.x__pair_claimed",
        "-    position = queue.positions.get(purpose, -1.0)\n"
        "+    position = queue.positions.get(purpose, +1.0)",
    ): "keys lie from 0 to 1: after all of them the search begins anew, and finds the same pair",
    (
        "annotation.comparisons.services.queue.x__pair_claimed",
        "-    position = queue.positions.get(purpose, -1.0)\n"
        "+    position = queue.positions.get(purpose, -2.0)",
    ): "keys lie from 0 to 1: both are before all of them",
}
