"""The addresses that jobs without a shared folder ask, by the token of their attempt and nothing else."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from django.core.exceptions import RequestDataTooBig
from django.db import DataError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from training.contracts import ContractError
from training.digests import DigestError
from web.tokens import bearer_secret

from . import job_reports
from .job_reports import AttemptOver
from .job_token import job_token_opens
from .storage import StoreAway, StoreSettings

STATUS = {
    AttemptOver: 409,
    RequestDataTooBig: 413,
    StoreAway: 503,
    StoreSettings: 503,
    DataError: 400,
    ValueError: 400,  # a ContractError, a DigestError, a body that is no JSON
}
Answer = Callable[[UUID, int, Mapping[str, Any]], Mapping[str, Any]]


def _job_door(answer: Answer) -> Callable[..., HttpResponse]:
    """A view that takes the attempt's token and a JSON object, and answers with one; `error` says why not."""

    @csrf_exempt  # no cookie opens it
    @require_POST
    @never_cache
    @functools.wraps(answer)
    def view(request: HttpRequest, run_id: UUID, attempt: int) -> HttpResponse:
        if not job_token_opens(bearer_secret(request), run_id, attempt):
            headers = {"WWW-Authenticate": "Bearer"}
            return _refusal(401, "This is not the token of this attempt.", headers=headers)
        try:
            return JsonResponse(dict(answer(run_id, attempt, _body(request))))
        except tuple(STATUS) as error:
            status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
            return _refusal(status, str(error))

    return view


def _body(request: HttpRequest) -> Mapping[str, Any]:
    document = json.loads(request.body)
    if not isinstance(document, dict):
        raise ContractError("Send a JSON object.")
    return document


def _refusal(status: int, sentence: str, **more: Any) -> JsonResponse:
    return JsonResponse({"error": sentence}, status=status, **more)


@_job_door
def job_begin(run_id: UUID, attempt: int, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The order of the attempt, and where its inputs and checkpoints are read."""
    job = document.get("job")
    if not isinstance(job, str) or not job:
        raise ContractError("Send the id of the job as `job`.")
    try:
        return job_reports.attempt_begin(run_id, attempt, job)
    except DigestError as error:  # of the store, not of the job: it may be mended meanwhile
        raise StoreAway(str(error)) from error


@_job_door
def job_tell(run_id: UUID, attempt: int, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Events, the log's end, checkpoints and the end; the answer says whether to stop."""
    return {"stop": job_reports.attempt_tell(run_id, attempt, job_reports.told_read(document))}


@_job_door
def job_send(run_id: UUID, attempt: int, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the files of something that it made are written."""
    return job_reports.attempt_send(run_id, attempt, document)


@_job_door
def job_kept(run_id: UUID, attempt: int, document: Mapping[str, Any]) -> Mapping[str, Any]:
    """They are written."""
    job_reports.attempt_keep(run_id, attempt, document)
    return {}
