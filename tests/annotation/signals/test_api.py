"""Signals for programs, by the client, over HTTP."""

from __future__ import annotations

import uuid

import pytest

from annotation import facade as annotation
from annotation.comparisons.models import Prompt
from tests.annotation.signals.conversations import (
    answered,
    asked,
    falling_on,
    names,
    thumbs_given,
)
from tests.support.programs import a_program, refused
from web.client import Outerloop, OuterloopError

pytestmark = pytest.mark.django_db
LINE, VERSION = uuid.UUID(int=1), uuid.UUID(int=2)


def site_of(server, role: str, *scopes: str) -> Outerloop:
    return Outerloop(server.url, a_program(role, *scopes, line=LINE, name=role).secret)


@pytest.mark.django_db(transaction=True)
def test_a_lead_s_program_reads_signals_and_adds_prompts(live_server):
    annotation.signals_switch(line_id=LINE, on=True, actor="a", name="tides")
    thumbs_given(LINE, VERSION, asked("Thanks"), names("calm", 30), "up")
    thumbs_given(LINE, VERSION, asked(falling_on("train")), names("u", 8))
    name = answered(LINE, VERSION, asked("Where?"))
    signal = annotation.NewSignal(name, user="ann", edit="At pier 3.", regenerated=True)
    annotation.signal_give(line_id=LINE, signal=signal)
    lead = site_of(live_server, "lead", "read", "import")
    said = list(lead.signals(str(LINE)))
    assert len(said) == 39
    assert said[0].pop("id")
    assert said[0].pop("given_at")
    assert said[0] == {
        "completion": name, "version": str(VERSION), "thumb": "", "edit": "At pier 3.", "text": "",
        "regenerated": True,
    }  # fmt: skip
    (found,) = lead.troubled_prompts(str(LINE))
    assert (found["share"], found["users"], found["place"]) == (1.0, 8, "new")
    done = lead.troubled_prompts_add(str(LINE), [found["conversation"]])
    assert done == {"added": 1, "left_out": 0}
    assert Prompt.objects.get().source == "signals"
    with pytest.raises(OuterloopError, match="not on the list") as raised:
        lead.troubled_prompts_add(str(LINE), ["gone"])
    assert raised.value.status == 422


@pytest.mark.parametrize("address", ["signals", "signals/prompts"])
def test_an_engineer_reads_and_an_annotator_does_not(address):
    engineer = a_program("engineer", "read", "import", line=LINE)
    assert engineer.get(f"lines/{LINE}/{address}").json()["items"] == []
    annotator = a_program("annotator", "read", line=LINE, name="ann")
    refused(annotator.get(f"lines/{LINE}/{address}"), 403)
    body = {"conversations": ["gone"]}
    refused(engineer.post(f"lines/{LINE}/signals/prompts", body), 403)
    refused(engineer.post(f"lines/{LINE}/signals/prompts", {"conversations": []}), 422)
