"""Reading what was sent: JSON as PostgreSQL can keep it, numbers as its columns hold them, no word unread."""

from __future__ import annotations

import json
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDict
from ninja import Field, Schema
from ninja.operation import Operation
from ninja.params.models import QueryModel
from ninja.parser import Parser
from pydantic import ConfigDict

from web.texts import storable

from .problems import Refused, field_refused

UNSTORABLE = "The request holds a NUL or half a character, which cannot be kept: leave it out."
Number = Annotated[int, Field(ge=0, le=2_147_483_647)]


class Body(Schema):
    """A JSON object in which a field that is not known is an error, not a silence."""

    model_config = ConfigDict(extra="forbid")


class StrictParser(Parser):
    """Ninja's, but for what Python reads and neither JSON nor the database knows."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        try:
            found = json.loads(request.body, parse_constant=_constant_refused)
            kept = storable(found)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        if not kept:
            raise Refused(422, UNSTORABLE)
        return found  # type: ignore[no-any-return] # whatever it is, the schema says

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        if not storable(dict(data.lists())):
            raise Refused(422, UNSTORABLE)
        return super().parse_querydict(data, list_fields, request)


def query_checked(operation: Operation) -> None:
    """Make an operation refuse a word of the query that it does not know, as `Body` refuses a field."""
    known = {
        name
        for model in operation.models
        if issubclass(model, QueryModel)
        for name in getattr(model, "__ninja_flatten_map__", {})
    }
    read = operation._get_values

    def checked(
        request: HttpRequest, path_params: Any, temporal_response: HttpResponse
    ) -> dict[str, Any]:
        unknown = sorted(set(request.GET) - known)
        if unknown:
            words = f"there are: {', '.join(sorted(known))}" if known else "there are none"
            raise field_refused(unknown[0][:60], f"There is no such parameter; {words}.")
        return read(request, path_params, temporal_response)

    operation._get_values = checked  # type: ignore[method-assign]


def _constant_refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")  # NaN and the infinities
