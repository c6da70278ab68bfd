"""A shadow: who may start it, what ends it, what is counted, and that the gate knows nothing of it."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.urls import reverse

from evaluation import facade
from evaluation.facade import GateError
from evaluation.gates import services
from evaluation.gates.records import ShadowCounts, ShadowRecord
from evaluation.gates.shadow_models import Shadow, ShadowDay
from evaluation.gates.shadow_pages import refusal_difference
from evaluation.statistics.paired import paired_difference_interval
from tests.evaluation.gates.world import TOO_LONG, LineWorld, policy_create
from web.models import AuditEvent


@pytest.fixture
def world(db: None, artifacts: Path) -> LineWorld:
    made = LineWorld(artifacts)
    made.deploy_first()
    made.decide(**TOO_LONG)  # what the gate holds back may be looked at all the same
    return made


def started(world: LineWorld, **how: Any) -> ShadowRecord:
    asked: dict[str, Any] = {"version_id": world.candidate.id, "share": 25, **how}
    return services.shadow_start(line_id=world.line, actor="ada", **asked)


def test_a_shadow_moves_no_pointer_and_is_written_down(world: LineWorld) -> None:
    shadow = started(world)
    assert facade.deployed_version(world.line) == world.incumbent.id
    assert (shadow.version_id, shadow.beside_version) == (world.candidate.id, world.incumbent.id)
    services.shadow_stop(line_id=world.line, shadow_id=shadow.id, actor="bo")
    verbs = AuditEvent.objects.filter(verb__startswith="shadow").values_list("verb", flat=True)
    assert sorted(verbs) == ["shadow_end", "shadow_start"]
    assert Shadow.objects.get().ended_by == "bo"
    with pytest.raises(GateError, match="is over"):
        services.shadow_stop(line_id=world.line, shadow_id=shadow.id, actor="bo")


@pytest.mark.parametrize("share", [0, 101])
def test_a_share_outside_the_bounds_is_refused(world: LineWorld, share: int) -> None:
    with pytest.raises(GateError, match="1 to 100 percent"):
        started(world, share=share)


def test_what_no_round_has_made_and_what_is_deployed_is_no_shadow(world: LineWorld) -> None:
    stranger = policy_create(world.line, world.folder, "another")
    for version in (stranger.id, world.incumbent.id):
        with pytest.raises(GateError, match="that a round of this line has made"):
            started(world, version_id=version)


def test_one_at_a_time_and_none_beside_a_canary(artifacts: Path, db: None) -> None:
    world = LineWorld(artifacts)
    world.deploy_first()
    world.decide()
    started(world)
    with pytest.raises(GateError, match="under way on this line already"):
        started(world)
    facade.canary_start(
        line_id=world.line, version_id=world.candidate.id, round_id=world.round, share=25,
        actor="round",
    )  # fmt: skip
    assert (Shadow.objects.get().ended_by, Shadow.objects.filter(ended_at=None).count()) == (
        "round",
        0,
    )
    with pytest.raises(GateError, match="A canary is under way"):
        started(world)


def test_a_move_of_the_pointer_ends_it(artifacts: Path, db: None) -> None:
    world = LineWorld(artifacts)
    world.deploy_first()
    world.decide()
    started(world)
    world.deploy()
    assert Shadow.objects.get().ended_at is not None


def test_counts_of_a_day_add_up(world: LineWorld) -> None:
    shadow = started(world)
    one = ShadowCounts(answered=1, seconds=2.0, deployed_seconds=1.0, characters=30, refused=1)
    for counts in (one, one, ShadowCounts(failed=1), ShadowCounts(dropped=4), ShadowCounts()):
        services.shadow_count(shadow_id=shadow.id, counts=counts)
    row = ShadowDay.objects.get()
    assert (row.answered, row.failed, row.dropped, row.refused) == (2, 1, 4, 2)
    assert (row.seconds, row.deployed_seconds, row.characters) == (4.0, 2.0, 60)


def test_the_difference_of_refusals_is_that_of_the_same_requests() -> None:
    counts = ShadowCounts(
        answered=100, refused=12, deployed_refused=5, refused_alone=9, deployed_refused_alone=2
    )
    mine = np.array([1.0] * 9 + [0.0] * 2 + [1.0] * 3 + [0.0] * 86)
    theirs = np.array([0.0] * 9 + [1.0] * 2 + [1.0] * 3 + [0.0] * 86)
    assert refusal_difference(counts) == paired_difference_interval(mine, theirs)
    assert refusal_difference(ShadowCounts(answered=29)) is None


def test_a_lead_starts_it_staff_ends_it_and_the_page_compares(
    world: LineWorld, sign_in: Any
) -> None:
    page = reverse("gates:deployments", args=[world.line])
    start = reverse("gates:shadow_start", args=[world.line])
    asked = {"version": str(world.candidate.id), "share": "50"}
    assert "Start a shadow" not in sign_in("engineer").get(page).content.decode()
    assert sign_in("engineer").post(start, asked).status_code == 403
    assert "Start a shadow" in sign_in("lead").get(page).content.decode()
    wrong = sign_in("lead").post(start, {**asked, "share": "51"}, follow=True)
    assert "Choose a policy and a share" in wrong.content.decode()
    text = sign_in("lead").post(start, asked, follow=True).content.decode()
    assert f"{world.candidate.name} answers 50% of the requests unseen." in text
    assert "Nothing to compare yet" in text
    assert "Start a shadow" not in text
    shadow = Shadow.objects.get()
    counts = ShadowCounts(
        answered=40, failed=2, seconds=80.0, deployed_seconds=60.0, characters=4000,
        deployed_characters=2000, refused=4, refused_alone=4, dropped=3,
    )  # fmt: skip
    services.shadow_count(shadow_id=shadow.id, counts=counts)
    services.shadow_mark_served(shadow.id)
    text = sign_in("engineer").get(page).content.decode()
    for said in ("Answers now", "2.0 · 1.5", "100 · 50", "10% · 0%", "percentage points: +10.0"):
        assert said in text
    services.shadow_mark_failed(shadow.id, "no memory")
    assert "no memory" in sign_in("engineer").get(page).content.decode()
    end = reverse("gates:shadow_end", args=[world.line, shadow.id])
    text = sign_in("engineer").post(end, follow=True).content.decode()
    assert "The shadow has ended." in text
    assert "2.0 · 1.5" in text
    other = reverse("gates:shadow_end", args=[world.line, uuid.uuid4()])
    assert "is over" in sign_in("engineer").post(other, follow=True).content.decode()
