"""Making a line, as the pages and the programming interface do: who may, on which model, by what plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db import IntegrityError, transaction

from training import facade as training
from training.contracts import ContractError
from web.access import STAFF, lines_of
from web.registry import line_names
from web.services import audit_record
from web.storage import storage_sentence

from .bases import base_order
from .locking import RoundRefused
from .models import BaseOrder, PolicyLine
from .plan import RoundPlan, plan_override
from .services import line_create

if TYPE_CHECKING:
    from web.access import User


def line_maker_check(user: Any) -> None:
    """For engineers and leads of every line: who has roles on some would have none on the new one."""
    if lines_of(user, *STAFF) is not None:
        raise PermissionDenied("Only an engineer or lead of every line may make a line.")


def folder_clean(name: str) -> str:
    """The folder that a person names as a model, links followed; `ValidationError` says what is wrong."""
    try:
        return str(training.model_folder_named(name))
    except (ContractError, training.ModelFilesError, ValueError) as error:
        raise ValidationError(str(error)) from error
    except OSError as error:
        raise ValidationError(storage_sentence(error)) from error


def policies_offered(user: Any) -> list[tuple[UUID, str]]:
    """Registered policies of the lines that the person works on, each with its name, newest first."""
    allowed = lines_of(user, *STAFF)
    names = {line.id: line.name for line in line_names(allowed)}
    return [
        (version.id, f"{names[version.line_id]}: {version.name}")
        for version in training.policies_kept(lines=allowed)
        if version.line_id in names
    ]


@transaction.atomic
def line_make(
    *,
    name: str,
    slug: str,
    description: str,
    source: dict[str, Any],
    actor: User,
    plan: dict[str, Any] | None = None,
) -> tuple[PolicyLine, BaseOrder]:
    """A line with its base policy ordered (`source` as `base_order` takes it), which the caller enqueues after
    commit. `plan` holds the settings that differ from the defaults; a wrong one is a `ContractError`."""
    whole = plan_override(RoundPlan(), plan or {})
    try:
        with transaction.atomic():
            line = line_create(name=name, slug=slug, description=description, plan=whole)
    except IntegrityError as error:
        raise RoundRefused(f"A line at {slug!r} was made at the same moment.") from error
    detail = {"plan": plan} if plan else {}
    audit_record(
        actor=str(actor.pk), verb="made line", target=line.slug, line=line.id, detail=detail
    )
    return line, base_order(line=line, **source, actor=str(actor.pk))
