"""Reads of history, which may come from a copy of the database that is some seconds behind.

Who reads says so here, with `history_view` or `history_read`; where the rows then come from is the router's
affair (`outerloop.database.replica`). What claims, writes, or must see its own write does not say so, and
reads the database itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .outages import DATABASE_AWAY

# A browser that has written something sends this cookie, and is shown the database itself for that long.
WROTE = "outerloop_wrote"
SAFE = ("GET", "HEAD")

T = TypeVar("T")


@dataclass
class HistoryRead:
    """One reading. `fresh`: everything that was written before it began is to be seen.

    `alias` is the copy that the router chose, "" while it has not been asked or where there is none;
    `failed` is told an error of it.
    """

    fresh: bool
    alias: str | None = None
    failed: Callable[[Exception], None] | None = None


_reading: ContextVar[HistoryRead | None] = ContextVar("history_read", default=None)


def reading() -> HistoryRead | None:
    return _reading.get()


def history_read(act: Callable[[], T], *, fresh: bool = False) -> T:
    """`act()` on a copy of the database where a good one is there, and once more without it where that fails.

    The caller vouches that `act` may be repeated.
    """
    read = HistoryRead(fresh)
    token = _reading.set(read)
    try:
        return act()
    except DATABASE_AWAY as error:
        if not read.alias or read.failed is None:
            raise
        read.failed(error)
    finally:
        _reading.reset(token)
    return act()


def history_view(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """A page or answer that only shows history."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method not in SAFE or WROTE in request.COOKIES:
            return view(request, *args, **kwargs)
        return history_read(lambda: view(request, *args, **kwargs))

    return shown
