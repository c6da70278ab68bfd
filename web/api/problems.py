"""Errors of the programming interface in one shape: RFC 9457's, with the fields that are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.functional import Promise
from ninja import Schema

PROBLEM_JSON = "application/problem+json"


class FieldProblem(Schema):
    field: str
    says: str


class Problem(Schema):
    """`detail` says what is wrong and what to do; `errors` names each field that is wrong."""

    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []


class Refused(Exception):
    """A request that is not carried out; `errors` is field -> sentence."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status, self.detail = status, detail
        self.errors, self.headers = dict(errors or {}), dict(headers or {})
        super().__init__(detail)


def field_refused(field: str, says: str) -> Refused:
    return Refused(422, f"{field}: {says}", errors={field: says})


def problem_response(refused: Refused) -> HttpResponse:
    problem = Problem(
        title=HTTPStatus(refused.status).phrase,
        status=refused.status,
        detail=refused.detail,
        errors=[FieldProblem(field=f, says=says) for f, says in refused.errors.items()],
    )
    headers = dict(refused.headers)
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JsonResponse(
        problem.dict(), status=refused.status, content_type=PROBLEM_JSON, headers=headers
    )


def not_found(request: HttpRequest, **rest: Any) -> HttpResponse:
    """Everything under the interface's address that is no operation."""
    return problem_response(
        Refused(404, "There is no operation at this address; openapi.json lists them all.")
    )


def validation_refused(errors: Iterable[Mapping[str, Any]]) -> Refused:
    """What the schemas found wrong, each field by its place in the request."""
    found = {_place(error["loc"]): str(error["msg"]).rstrip(".") + "." for error in errors}
    detail = " ".join(f"{field}: {says}" for field, says in list(found.items())[:5])
    return Refused(422, detail, errors=found)


def fields_refused(messages: Mapping[str, Iterable[str | Promise]]) -> Refused:
    """A model's own check, field by field."""
    found = {
        "body" if name == "__all__" else name: " ".join(map(str, says))
        for name, says in messages.items()
    }
    return Refused(422, " ".join(f"{f}: {says}" for f, says in found.items()), errors=found)


def _place(location: Iterable[str | int]) -> str:
    """`body.order.campaigns.0` without the names that only our code gives its arguments."""
    source, *rest = location
    inside = rest[1:] if source in ("body", "form", "query") and len(rest) > 1 else rest
    if source == "body" and len(rest) == 1:
        return "body"
    return ".".join(str(part) for part in inside) or str(source)
