"""Setting a line up, step by step: where a person is among the pages that the rooms have for it.

Each step is an ordinary page with an address of its own; what is done is read from what was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest

from .access import roles_of
from .registry import NamedLine, SetUpStep, StepState, line_named, registered


@dataclass(frozen=True)
class StepShown:
    """`url` is empty where the person's roles do not open the step's page."""

    key: str
    label: str
    url: str
    state: StepState
    here: bool


@dataclass(frozen=True)
class SettingUp:
    line: NamedLine
    steps: tuple[StepShown, ...]

    @property
    def following(self) -> StepShown | None:
        """The step after this one, that the person may open."""
        after = False
        for step in self.steps:
            if after and step.url:
                return step
            after = after or step.here
        return None

    @property
    def place(self) -> int:
        return next((n for n, step in enumerate(self.steps, 1) if step.here), 0)

    @property
    def missing(self) -> list[StepShown]:
        return [step for step in self.steps if not step.state.done]


def setting_up(request: HttpRequest, line_id: UUID, here: str = "") -> SettingUp:
    """The steps of the line as the person sees them; `here` is the key of the page that is shown."""
    roles = roles_of(request.user, line_id)
    return SettingUp(
        line=line_named(line_id),
        steps=tuple(
            StepShown(
                key=step.key,
                label=step.label,
                url=step.address(line_id) if step.roles & roles else "",
                state=step.read(request, line_id),
                here=step.key == here,
            )
            for step in registered(SetUpStep)
        ),
    )


def step_url(key: str, line_id: UUID) -> str:
    """Where a step that another room has is."""
    steps = {step.key: step for step in registered(SetUpStep)}
    return steps[key].address(line_id)


def step_context(request: HttpRequest, line_id: UUID, here: str) -> dict[str, Any]:
    """What the page of a step is given for its frame, `web/set_up_step.html`."""
    return {"set_up": setting_up(request, line_id, here)}
