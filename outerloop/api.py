"""The programming interface, version 1: the routers of the rooms, joined in this one place."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any

import ninja.errors
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET
from ninja import NinjaAPI, Router
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation

from annotation import api as annotation
from evaluation import api as evaluation
from outerloop.rounds.line_api import router as rounds
from outerloop.rounds.locking import RoundRefused
from outerloop.rounds.signal_api import router as signals
from outerloop.webhooks.api import router as webhooks
from outerloop.webhooks.services import WebhookRefused
from web.api.access import TokenAuth
from web.api.idempotency import KEEPERS, LONGEST_KEY, TOO_LONG, UNREADABLE
from web.api.problems import (
    PROBLEM_JSON,
    Problem,
    Refused,
    fields_refused,
    not_found,
    problem_response,
    validation_refused,
)
from web.api.requests import StrictParser, query_checked
from web.tokens import reads_tokens_itself

DESCRIPTION = (
    "Send `Authorization: Bearer TOKEN`. A list goes on at `after`, the `next` of the page before. A write"
    " with an `Idempotency-Key` header is carried out once, however often it is sent. What is refused is"
    " answered as application/problem+json."
)
STATUSES: dict[type[Exception], int] = {
    **annotation.STATUSES,
    RoundRefused: 409,
    WebhookRefused: 409,
}
EVERYWHERE, WITH_BODY = (401, 403, 422, 429), (400, 413)
KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "description": "A repeated request with this key is carried out once.",
    "schema": {"type": "string", "maxLength": LONGEST_KEY},
    "required": False,
}


class Interface(NinjaAPI):
    """Ninja's, with every operation's scope, refusals and key in the document."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        """The function's name, which is short and once in all rooms."""
        return operation.view_func.__name__

    def queries_check(self) -> None:
        """Let every operation refuse a word of the query that it does not know: a misspelt filter would list all."""
        for bound in self._get_bound_routers():
            for view in bound.path_operations.values():
                for operation in view.operations:
                    query_checked(operation)

    def get_openapi_schema(self, **given: Any) -> OpenAPISchema:
        document = super().get_openapi_schema(**given)
        scopes = {
            self.get_openapi_operation_id(operation): auth.scope
            for bound in self._get_bound_routers()
            for view in bound.path_operations.values()
            for operation in view.operations
            for auth in operation.auth_callbacks
            if isinstance(auth, TokenAuth)
        }
        keepers = {keeper.__name__ for keeper in KEEPERS}
        for methods in document["paths"].values():
            for operation in methods.values():
                scope = f"Scope: {scopes[operation['operationId']]}."
                operation["description"] = f"{operation.get('description', '')}\n\n{scope}".strip()
                _refusals_documented(operation)
                if operation["operationId"] in keepers:
                    operation["parameters"].append(KEY)
        return document


def _refusals_documented(operation: dict[str, Any]) -> None:
    """Refusals are problems, and some may come from every operation."""
    schema = {"$ref": f"#/components/schemas/{Problem.__name__}"}
    answers = operation["responses"]
    everywhere = (*EVERYWHERE, *(WITH_BODY if "requestBody" in operation else ()))
    for status in {*everywhere, *(s for s in answers if s >= 400)}:
        known = answers.setdefault(status, {"description": HTTPStatus(status).phrase})
        known["content"] = {PROBLEM_JSON: {"schema": schema}}


def interface() -> NinjaAPI:
    made = Interface(
        title="Outerloop",
        version="1",
        description=DESCRIPTION,
        urls_namespace="api",
        docs_url=None,
        docs_decorator=require_GET,
        parser=StrictParser(),
    )
    routers: tuple[Router, ...] = (
        rounds,
        signals,
        *annotation.ROUTERS,
        *evaluation.ROUTERS,
        webhooks,
    )
    for router in routers:
        made.add_router("", router)
    made.queries_check()
    for error, status in STATUSES.items():
        made.add_exception_handler(error, partial(_told, status=status))
    for error, answer in ANSWERS.items():
        made.add_exception_handler(error, answer)
    return made


def _told(request: HttpRequest, error: Exception, *, status: int) -> HttpResponse:
    """A room's own error, whose sentence is for people."""
    return problem_response(Refused(status, str(error)))


def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return problem_response(error)


def _forbidden(request: HttpRequest, error: PermissionDenied) -> HttpResponse:
    return problem_response(Refused(403, str(error) or "The token's owner has no role for this."))


def _missing(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem_response(Refused(404, "There is no such thing, or it is not yours to see."))


def _invalid(request: HttpRequest, error: ninja.errors.ValidationError) -> HttpResponse:
    return problem_response(validation_refused(error.errors))


def _model_invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    return problem_response(fields_refused(error.message_dict))


def _unreadable(request: HttpRequest, error: Exception) -> HttpResponse:
    if isinstance(error.__cause__, Refused):  # by our own parser, which Ninja asked
        return problem_response(error.__cause__)
    return problem_response(Refused(400, UNREADABLE))


def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return problem_response(Refused(413, TOO_LONG))


ANSWERS: dict[type[Exception], Any] = {
    Refused: _refused,
    PermissionDenied: _forbidden,
    Http404: _missing,
    ninja.errors.ValidationError: _invalid,
    ninja.errors.HttpError: _unreadable,
    ValidationError: _model_invalid,
    MultiPartParserError: _unreadable,
    SuspiciousOperation: _unreadable,
    RequestDataTooBig: _too_big,
}

_urls, _app, _namespace = interface().urls
urlpatterns: list[URLPattern] = [
    *(each for each in _urls if isinstance(each, URLPattern) and each.name != "api-root"),
    path("", not_found, name="api-root"),  # Ninja asks for this name where the document begins
    path("<path:rest>", not_found, name="nothing"),
]
for each in urlpatterns:
    reads_tokens_itself(each.callback)
app_name = _namespace
