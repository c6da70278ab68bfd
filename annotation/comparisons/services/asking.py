"""Questions about a pair, from who was given it to the leads, and their answers."""

from __future__ import annotations

from annotation.comparisons.models import Assignment, ThreadMessage
from annotation.contracts import AnnotationError

LONGEST_MESSAGE = 2000


def thread_write(*, assignment: Assignment, text: str, by_rater: bool) -> ThreadMessage:
    """Add a message to the thread of a person and a pair. Raises `AnnotationError` for an empty or too
    long one, and for an answer where nobody has asked."""
    text = text.strip()
    if not text or len(text) > LONGEST_MESSAGE:
        raise AnnotationError(f"Write at most {LONGEST_MESSAGE} characters, and something.")
    if not by_rater and not assignment.thread.exists():
        raise AnnotationError("Nobody has asked about this pair.")
    return ThreadMessage.objects.create(assignment=assignment, text=text, by_rater=by_rater)
