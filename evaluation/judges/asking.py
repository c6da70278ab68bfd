"""Ask the judge about the pairs of a round: several questions at once, each answer kept as it comes.

The requests run in threads and touch no database. A worker that is killed loses the questions that were
under way; the next goes on from what is kept. A judge that cannot be asked ends nothing but itself.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Event
from uuid import UUID

from evaluation.contracts import JudgeSettings
from evaluation.judges.client import (
    JudgeReply,
    JudgeSilent,
    JudgeStopped,
    judge_asked,
    request_body,
)
from evaluation.judges.models import JudgeAnswer, JudgeRun
from evaluation.judges.notices import judge_silent_tell
from evaluation.judges.selectors import line_judge, with_rubric
from evaluation.judges.wording import PairToJudge, judge_messages, verdict_read
from web.clock import Now

logger = logging.getLogger(__name__)

# So many questions in a row without an answer, and the judge counts as unreachable.
MOST_SILENT = 5
LOOK_SECONDS, BEAT_SECONDS = 0.2, 1.0
NO_PAIRS = "The two policies wrote the same text to every prompt."

Beat = Callable[[int, int], None]


@dataclass(frozen=True)
class JudgeQuestion:
    pair: PairToJudge
    candidate_first: bool
    body: bytes


@dataclass
class Asking:
    """How far it is: answers kept, silent questions in all and in a row, and why it is to end early."""

    kept: int
    total: int
    silent: int = 0
    in_a_row: int = 0
    last: str = ""
    stopped: str = ""
    halt: Event = field(default_factory=Event)

    def stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason
        self.halt.set()

    def missed(self, why: str) -> None:
        self.silent += 1
        self.in_a_row += 1
        self.last = why
        if self.in_a_row >= MOST_SILENT:
            self.stop(f"{MOST_SILENT} questions in a row had no answer. {why}")


def round_judge(
    *, line_id: UUID, round_id: UUID, pairs: Sequence[PairToJudge], beat: Beat
) -> JudgeRun | None:
    """Ask the line's judge about the pairs, or about what is left of them; None where it has none.

    `beat(answered, total)` is called about once a second; what it raises ends the asking, and the next call
    goes on. Settings, rubric and pairs are those of the first call.
    """
    run = _run_begun(line_id, round_id, pairs)
    if run is None or run.ended_at is not None:
        return run
    settings = run.judge_settings
    asking = _ask(run, settings, list(pairs)[: run.pairs], beat)
    reason = _reason(asking) if run.pairs else NO_PAIRS
    JudgeRun.objects.filter(pk=run.pk, ended_at__isnull=True).update(
        ended_at=Now(), reason=reason[:500]
    )
    run.refresh_from_db()
    if asking.stopped:
        judge_silent_tell(run, asking.stopped)
    return run


def _run_begun(line_id: UUID, round_id: UUID, pairs: Sequence[PairToJudge]) -> JudgeRun | None:
    begun = JudgeRun.objects.filter(round=round_id).first()
    judge = line_judge(line_id)
    if begun is not None or judge is None or not judge.active:
        return begun
    settings, source = with_rubric(judge.judge_settings, line_id)
    made, _ = JudgeRun.objects.get_or_create(
        round=round_id,
        defaults={
            "line": line_id,
            "settings": settings.to_json(),
            "rubric_source": source,
            "pairs": min(len(pairs), settings.max_pairs),
        },
    )
    return made


def _ask(
    run: JudgeRun, settings: JudgeSettings, pairs: Sequence[PairToJudge], beat: Beat
) -> Asking:
    answered = set(run.answers.values_list("prompt", "candidate_first"))
    asking = Asking(kept=len(answered), total=2 * len(pairs))
    waiting = _questions(settings, pairs, answered)
    pool = ThreadPoolExecutor(settings.at_once, thread_name_prefix="judge")
    try:
        _asked_through(run, settings, waiting, asking, pool, beat)
    finally:  # where `beat` raised: what is under way ends by its own time limit
        asking.halt.set()
        pool.shutdown(wait=False, cancel_futures=True)
    return asking


def _questions(
    settings: JudgeSettings, pairs: Sequence[PairToJudge], answered: set[tuple[UUID, bool]]
) -> Iterator[JudgeQuestion]:
    """Those without an answer, both orders of a pair one after the other."""
    for pair in pairs:
        for order in (True, False):
            if (UUID(pair.prompt_id), order) not in answered:
                said = judge_messages(pair.messages, *pair.shown(order), rubric=settings.rubric)
                yield JudgeQuestion(pair, order, request_body(settings, said))


def _asked_through(
    run: JudgeRun,
    settings: JudgeSettings,
    waiting: Iterator[JudgeQuestion],
    asking: Asking,
    pool: ThreadPoolExecutor,
    beat: Beat,
) -> None:
    ends, beaten = time.monotonic() + 60 * settings.minutes, 0.0
    under_way: dict[Future[JudgeReply], JudgeQuestion] = {}
    while True:
        while not asking.stopped and len(under_way) < settings.at_once:
            question = next(waiting, None)
            if question is None:
                break
            sent = pool.submit(judge_asked, settings, question.body, halt=asking.halt)
            under_way[sent] = question
        if not under_way:
            beat(asking.kept, asking.total)
            return
        done, _ = wait(under_way, timeout=LOOK_SECONDS, return_when=FIRST_COMPLETED)
        for future in done:
            _taken(run, under_way.pop(future), future, asking)
        if time.monotonic() - beaten >= BEAT_SECONDS:
            beat(asking.kept, asking.total)
            beaten = time.monotonic()
        if time.monotonic() > ends:
            asking.stop(f"It had not answered everything within {settings.minutes:g} minutes.")


def _taken(
    run: JudgeRun, question: JudgeQuestion, future: Future[JudgeReply], asking: Asking
) -> None:
    try:
        reply = future.result()
    except JudgeStopped as error:
        asking.stop(str(error))
    except JudgeSilent as error:
        asking.missed(str(error))
    except Exception as error:  # a defect of ours ends no round
        logger.exception("judge of round %s: unexpected error", run.round)
        asking.missed(f"Unexpected error: {type(error).__name__}.")
    else:
        asking.in_a_row = 0
        asking.kept += _kept(run, question, reply)


def _kept(run: JudgeRun, question: JudgeQuestion, reply: JudgeReply) -> bool:
    """Keep the answer; one that another worker kept meanwhile stays."""
    pair = question.pair
    _, made = JudgeAnswer.objects.get_or_create(
        run=run,
        prompt=UUID(pair.prompt_id),
        candidate_first=question.candidate_first,
        defaults={
            "group": pair.group[:100],
            "candidate_length": len(pair.candidate),
            "incumbent_length": len(pair.incumbent),
            "request_sha256": hashlib.sha256(question.body).hexdigest(),
            "answer": reply.text,
            "verdict": verdict_read(reply.text) or "",
            "seconds": reply.seconds,
        },
    )
    return made


def _reason(asking: Asking) -> str:
    if asking.stopped:
        return asking.stopped
    if asking.silent:
        return f"Questions without an answer: {asking.silent}. The last: {asking.last}"
    return ""
