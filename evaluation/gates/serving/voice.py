"""The deployed policy as annotators hear it: asked for several answers at once, through the public port."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator, Mapping, Sequence
from queue import Empty, Queue
from threading import Thread
from uuid import UUID

from evaluation.gates import selectors
from training import facade as training
from web.voices import PolicySilent, Spoken, WrittenBy

from .client import PolicyUnavailable
from .streaming import PolicyStream

log = logging.getLogger(__name__)

# As the loop samples the pairs of a round: two answers of a greedy policy would be one.
TEMPERATURE, TOP_P = 1.0, 1.0
PULSE_SECONDS = 2.0  # without a piece, after which the listener is told that we still wait
MOST_SECONDS = 300.0
AWAY = (
    "The policy does not answer now. What you wrote is kept here: try again in a moment, and tell your lead"
    " if it stays so."
)
SLOW = "The policy took too long to answer. What you wrote is kept here: try again."
TOO_LONG = (
    "The conversation has grown too long for this policy: shorten your message, or end it here."
)
OTHER_LINE = "The policy server serves another line's policy now, so that there is nobody to talk to. Tell your lead."

Piece = str | PolicyUnavailable | None  # None: the answer is whole


def voice_ask(
    line_id: UUID, messages: Sequence[Mapping[str, str]], seeds: Sequence[int]
) -> Generator[Spoken]:
    """An answer to the messages for each seed; see `web.registry.PolicyVoice`. Whoever stops listening ends
    the answers."""
    said: Queue[tuple[int, Piece]] = Queue()
    streams = [
        PolicyStream(messages, temperature=TEMPERATURE, top_p=TOP_P, seed=seed) for seed in seeds
    ]
    for place, stream in enumerate(streams):
        Thread(target=_listen, args=(place, stream, said), daemon=True).start()
    until, whole = time.monotonic() + MOST_SECONDS, 0
    try:
        while whole < len(streams):
            if time.monotonic() > until:
                raise PolicySilent(SLOW)
            try:
                place, piece = said.get(timeout=PULSE_SECONDS)
            except Empty:
                yield Spoken()
                continue
            if isinstance(piece, PolicyUnavailable):
                log.warning("The policy did not answer an annotator: %s", piece)
                raise PolicySilent(_says(piece)) from piece
            if piece is None:
                whole += 1
                yield Spoken(place, by=_written_by(line_id, streams[place]))
            else:
                yield Spoken(place, piece)
    finally:
        for stream in streams:
            stream.close()


def _listen(place: int, stream: PolicyStream, said: Queue[tuple[int, Piece]]) -> None:
    """A thread's whole work; it asks no database."""
    try:
        for piece in stream.pieces():
            said.put((place, piece))
        said.put((place, None))
    except PolicyUnavailable as error:
        said.put((place, error))


def _says(error: PolicyUnavailable) -> str:
    return {"context_length_exceeded": TOO_LONG, "silent": SLOW}.get(error.code, AWAY)


def _written_by(line_id: UUID, stream: PolicyStream) -> WrittenBy:
    """By the server's own word, which alone knows what it served. Raises `PolicySilent` where it says none,
    or serves another line."""
    if not stream.version:
        log.warning("The policy server does not say which version answers: start it anew.")
        raise PolicySilent(AWAY)
    version = UUID(stream.version)
    if selectors.deployment_of_version(line_id, version) is None:
        raise PolicySilent(OTHER_LINE)
    sampling = {"temperature": TEMPERATURE, "top_p": TOP_P, "max_new_tokens": stream.max_tokens}
    sha256 = training.model_version_get(version).sha256
    return WrittenBy(version, sha256, sampling, ended=stream.ended, tokens=stream.tokens)
