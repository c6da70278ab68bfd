"""Frozen dataclasses that travel as JSON objects, and the errors that name a field which is wrong."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from typing import Any, ClassVar, Literal, Self

__all__ = ["ContractError", "JsonContract", "canonical_json", "json_sha256", "require_finite"]


class ContractError(ValueError):
    """A JSON document that does not fit its contract; the message names the field and the fix."""


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def json_sha256(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def require_finite(document: Any, where: str) -> None:
    """`ContractError` names the first number of a JSON value that is NaN or infinite."""
    if isinstance(document, dict):
        for name, value in document.items():
            require_finite(value, f"{where}.{name}")
    elif isinstance(document, list | tuple):
        for place, value in enumerate(document):
            require_finite(value, f"{where}[{place}]")
    elif isinstance(document, float) and not math.isfinite(document):
        raise ContractError(
            f"{where} is {document}, where a finite number is needed; measure it again."
        )


class JsonContract:
    """Mixin for frozen dataclasses that travel as JSON objects.

    `former_fields` names what earlier releases wrote and nothing reads any more: a stored document
    that holds it is read without it.
    """

    former_fields: ClassVar[frozenset[str]] = frozenset()

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Build from a JSON object; unknown, missing or mistyped fields raise `ContractError`."""
        value = _decode(document, cls, cls.__name__)
        assert isinstance(value, cls)
        return value


def _decode(value: Any, expected: Any, where: str) -> Any:
    origin = typing.get_origin(expected)
    if expected is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_union(value, expected, where)
    if origin is Literal:
        if value not in typing.get_args(expected):
            choices = ", ".join(map(repr, typing.get_args(expected)))
            raise ContractError(f"{where}: {value!r} is not one of {choices}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ContractError(f"{where}: expected a list, got {type(value).__name__}.")
        item = typing.get_args(expected)[0]
        return tuple(_decode(v, item, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ContractError(f"{where}: expected an object, got {type(value).__name__}.")
        item = typing.get_args(expected)[1]
        return {str(k): _decode(v, item, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(expected):
        return _decode_dataclass(value, expected, where)
    return _decode_scalar(value, expected, where)


def _decode_union(value: Any, expected: Any, where: str) -> Any:
    options = typing.get_args(expected)
    if value is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    errors: list[str] = []
    for option in rest:
        try:
            return _decode(value, option, where)
        except ContractError as error:
            errors.append(str(error))
    raise ContractError(errors[-1])


def _decode_scalar(value: Any, expected: type, where: str) -> Any:
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ContractError(
            f"{where}: expected {expected.__name__}, got {type(value).__name__} ({value!r})."
        )
    return value


@functools.cache
def _type_hints(expected: Any) -> dict[str, Any]:
    """Resolving annotations is slow, and data files have thousands of rows of one class."""
    return typing.get_type_hints(expected)


def _decode_dataclass(value: Any, expected: Any, where: str) -> Any:
    if isinstance(value, expected):
        return value
    if not isinstance(value, dict):
        raise ContractError(f"{where}: expected an object, got {type(value).__name__}.")
    hints = _type_hints(expected)
    fields = {f.name: f for f in dataclasses.fields(expected)}
    former: frozenset[str] = getattr(expected, "former_fields", frozenset())
    unknown = sorted(value.keys() - fields.keys() - former)
    if unknown:
        raise ContractError(
            f"{where}: unknown field {unknown[0]!r}; known fields are {', '.join(sorted(fields))}."
        )
    for name, spec in fields.items():
        required = (
            spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        )
        if required and name not in value:
            raise ContractError(f"{where}: the field {name!r} is missing.")
    try:
        known = {k: v for k, v in value.items() if k in fields}
        return expected(**{k: _decode(v, hints[k], f"{where}.{k}") for k, v in known.items()})
    except ContractError:
        raise
    except ValueError as error:
        raise ContractError(f"{where}: {error}") from error
