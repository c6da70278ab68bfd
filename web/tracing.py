"""What a log line belongs to: the request, task, round, step and run that are under way.

Whoever works on something opens a context; every line that is logged inside it, by whatever module,
carries the ids. Contexts nest, and end with the `with`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import ParamSpec, TypeVar

Params = ParamSpec("Params")
Result = TypeVar("Result")

_EMPTY: Mapping[str, str] = MappingProxyType({})
_fields: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default=_EMPTY)


def log_fields() -> Mapping[str, str]:
    """The ids of the contexts that are open here."""
    return _fields.get()


@contextmanager
def log_context(**fields: object) -> Iterator[None]:
    """Lines logged inside carry these ids too; an empty one is left out."""
    added = {name: str(value) for name, value in fields.items() if value}
    token = _fields.set({**_fields.get(), **added})
    try:
        yield
    finally:
        _fields.reset(token)


def log_arguments(
    *names: str,
) -> Callable[[Callable[Params, Result]], Callable[Params, Result]]:
    """Decorator of a service: what it logs carries these of its keyword arguments."""

    def decorate(service: Callable[Params, Result]) -> Callable[Params, Result]:
        @functools.wraps(service)
        def traced(*args: Params.args, **kwargs: Params.kwargs) -> Result:
            with log_context(**{name: kwargs.get(name) for name in names}):
                return service(*args, **kwargs)

        return traced

    return decorate
