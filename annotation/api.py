"""The annotation room's part of the programming interface; the roof joins it to the others'."""

from __future__ import annotations

from annotation.campaigns.api import router as campaigns
from annotation.comparisons.api import router as material
from annotation.comparisons.conversation_api import router as conversations
from annotation.comparisons.labelling_api import router as labelling
from annotation.comparisons.records import (
    AnswerFixed,
    ConversationMoved,
    GuidelinesUnread,
    NotYours,
    OptInMissing,
    QueueClosed,
)
from annotation.contracts import AnnotationError
from annotation.exchange.api import router as exchange
from annotation.quality.api import router as quality
from annotation.quality.gold_api import router as gold
from annotation.signals.api import router as signals
from web.voices import PolicySilent

ROUTERS = (campaigns, material, labelling, conversations, quality, gold, exchange, signals)
STATUSES: dict[type[Exception], int] = {
    AnnotationError: 422,
    AnswerFixed: 409,
    ConversationMoved: 409,
    PolicySilent: 503,
    GuidelinesUnread: 409,
    OptInMissing: 409,
    QueueClosed: 409,
    NotYours: 404,
}
