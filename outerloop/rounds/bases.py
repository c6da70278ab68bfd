"""The base policy of a line, ordered on a page: checked, copied and deployed by a worker.

An order is claimed by a conditional UPDATE with a lease, as a step of a round is: a message is only a hint,
and the sweep takes up an order whose worker died.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q

from training import facade as training
from training.contracts import ContractError
from web.clock import Now, from_now
from web.services import audit_record
from web.storage import error_sentence

from .locking import RoundRefused, line_locked
from .models import BASE_UNDER_WAY, BaseOrder, BaseState, PolicyLine
from .selectors import line_plan
from .services import line_base_set

logger = logging.getLogger(__name__)
REFUSALS = (
    RoundRefused,
    training.ModelUnfit,
    training.ModelFilesError,
    training.ArtifactMismatch,
    ContractError,
    LookupError,
    OSError,
)


class OrderLost(RuntimeError):
    """Another worker took the order over; this one's word does not count."""


def base_order(
    *, line: PolicyLine, folder: str = "", version_id: UUID | None = None, actor: str
) -> BaseOrder:
    """Order a base policy for a line that has none, from a folder or a registered policy.

    The caller enqueues it after commit. Raises `RoundRefused` where the line has one, or one is ordered.
    """
    if line.base_version is not None:
        raise RoundRefused(f"{line.name} has its base policy already.")
    try:
        with transaction.atomic():
            order = BaseOrder.objects.create(
                line=line, folder=folder, version=version_id, actor=actor
            )
    except IntegrityError as error:
        raise RoundRefused(f"A base policy of {line.name} is under way already.") from error
    audit_record(
        actor=actor,
        verb="ordered base policy",
        target=folder[-200:] or str(version_id),
        line=line.id,
    )
    return order


def orders_free() -> list[UUID]:
    """Orders that no worker is at: their message was lost, or their worker died."""
    return list(BaseOrder.objects.filter(_free()).values_list("pk", flat=True))


def base_take(order_id: UUID) -> None:
    """Check, copy and deploy; does nothing where another worker is at it, or it is over. What a person
    can mend ends the order as failed, with the sentence."""
    order = _claimed(order_id)
    if order is None:
        return
    lease = _Lease(order)
    try:
        with _source(order) as folder:
            length = _longest(order.line)
            lease.update(said=training.model_check(folder, length=length, beat=lease.beat))
            lease.update(state=BaseState.COPYING)
            version = training.model_version_import(
                line_id=order.line_id,
                kind="policy",
                path=folder,
                name="base policy",
                beat=lease.beat,
            )
        _set(lease, version.id)
    except OrderLost as error:
        logger.warning("base order %s: %s", order.pk, error)
    except REFUSALS as error:
        lease.fail(error_sentence(error))
    except Exception:
        lease.fail("An unexpected error ended this; see the worker's log.")
        raise


@dataclass
class _Lease:
    """The hold of one worker on an order, by the database's clock."""

    order: BaseOrder
    beaten: float = field(default_factory=time.monotonic)

    def beat(self) -> None:
        """Prolong it, where the last time is long enough ago. Raises `OrderLost`."""
        if time.monotonic() - self.beaten >= settings.OUTERLOOP_HEARTBEAT_SECONDS:
            self.update()

    def update(self, **changes: Any) -> None:
        self.beaten = time.monotonic()
        mine = BaseOrder.objects.filter(
            pk=self.order.pk, fence=self.order.fence, state__in=BASE_UNDER_WAY
        )
        if not mine.update(**{"lease_expires_at": _lease_end(), **changes}):
            raise OrderLost("another worker took it over")

    def done(self) -> None:
        self.update(state=BaseState.DONE, lease_expires_at=None)

    def fail(self, sentence: str) -> None:
        with suppress(OrderLost):
            self.update(state=BaseState.FAILED, lease_expires_at=None, error=sentence)


def _claimed(order_id: UUID) -> BaseOrder | None:
    taken = BaseOrder.objects.filter(_free(), pk=order_id).update(
        state=BaseState.CHECKING, fence=F("fence") + 1, lease_expires_at=_lease_end(), said=""
    )
    return BaseOrder.objects.select_related("line").get(pk=order_id) if taken else None


def _free() -> Q:
    left = Q(lease_expires_at__isnull=True) | Q(lease_expires_at__lt=Now())
    return left & Q(state__in=BASE_UNDER_WAY)


def _lease_end() -> Any:
    return from_now(timedelta(seconds=settings.OUTERLOOP_LEASE_SECONDS))


@contextmanager
def _source(order: BaseOrder) -> Iterator[Path]:
    """The folder to copy, on this machine meanwhile; what may have changed since the order was given is
    looked at again."""
    if order.version is None:
        yield training.model_folder_named(order.folder)
        return
    held = training.model_version_hold(order.version)
    try:
        yield held.path
    finally:
        held.release()


def _longest(line: PolicyLine) -> int:
    """Tokens of the longest prompt with its reply, as the line's plan has them."""
    policy = line_plan(line).policy
    return policy.max_prompt_tokens + policy.sampling.max_new_tokens


@transaction.atomic
def _set(lease: _Lease, version_id: UUID) -> None:
    line = line_locked(lease.order.line_id)
    if line.base_version is not None:
        raise RoundRefused(f"{line.name} was given another base policy meanwhile.")
    lease.done()
    line_base_set(line=line, version_id=version_id, actor=lease.order.actor)
