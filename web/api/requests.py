"""Reading what was sent: JSON as PostgreSQL can keep it, numbers as its columns hold them."""

from __future__ import annotations

import json
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict
from ninja import Field, Schema
from ninja.parser import Parser
from pydantic import ConfigDict

from web.texts import storable

from .problems import Refused

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


def _constant_refused(name: str) -> None:
    raise ValueError(f"{name} is no JSON")  # NaN and the infinities
