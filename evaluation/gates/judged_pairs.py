"""The pairs of a round that its LLM judge is asked about: those that people are shown, in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from evaluation.gates.readings import samples_read
from evaluation.gates.records import JudgedRound
from evaluation.judges.asking import Beat, round_judge
from evaluation.judges.selectors import judge_settings_of
from evaluation.judges.wording import PairToJudge
from training import facade as training


def judge_ask(judged: JudgedRound, *, beat: Beat) -> str:
    """Ask the line's judge about the round, or go on asking; a sentence on what came of it, empty where
    the line has none. It fails no round: what goes wrong with the judge is in the sentence.

    `beat(answered, total)` is called about once a second; what it raises is let through.
    """
    settings = judge_settings_of(judged.line_id, judged.round_id)
    if settings is None or judged.policy_run is None:
        return ""
    pairs = list(islice(pairs_differing(judged.policy_run), settings.max_pairs))
    run = round_judge(line_id=judged.line_id, round_id=judged.round_id, pairs=pairs, beat=beat)
    if run is None:
        return ""
    answers = f"{run.answers.count()} of {2 * run.pairs}"
    said = f" The LLM judge answered {answers} questions."
    return f"{said} {run.reason}".rstrip()


def pairs_differing(run: training.RunRecord) -> Iterator[PairToJudge]:
    """One pair a prompt, in drawn order; two equal texts are a tie that nobody is asked about."""
    for row in samples_read(run):
        candidate, incumbent = row["candidate"]["text"], row["incumbent"]["text"]
        if row["sample"] == 0 and candidate != incumbent:
            yield PairToJudge(
                str(row["prompt_id"]), str(row["group"]), row["messages"], candidate, incumbent
            )
