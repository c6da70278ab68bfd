"""An engineer watches a run in a real browser: charts, figures and log grow while the page is open."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from tests.support.browser import DESKTOP, PHONE
from tests.support.people import person_create
from training import facade as training
from training.runs.models import Run, RunEventRow

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
SHOTS = os.environ.get("OUTERLOOP_SCREENSHOTS", "")


@pytest.fixture
def run(settings: Any, tmp_path: Path) -> Run:
    settings.ARTIFACT_ROOT = tmp_path / "artifacts"
    made = training.run_create(line_id=uuid.uuid4(), kind="ppo", seed=3, config={}, inputs={})
    Run.objects.filter(pk=made.id).update(state="running", fence=1, started_at=timezone.now())
    run = Run.objects.get(pk=made.id)
    run.directory.mkdir(parents=True)
    (run.directory / "child.log").write_text("--- attempt 1 ---\nSampling began.\n")
    for update in range(1, 12):
        report(run, update)
    return run


def report(run: Run, update: int) -> None:
    """One update as PPO reports it."""
    RunEventRow.objects.create(
        run=run, seq=update, at=datetime.now(UTC) + timedelta(seconds=5 * update - 60),
        phase="ppo", step=update, total_steps=20, message="",
        metrics={
            "reward_train": 0.06 * update, "reward_held_out": 0.04 * update - 0.01 * (update % 3),
            "kl_k1": 0.12 * update, "kl_exact": 0.1 * update, "entropy": 0.53 - 0.015 * update,
            "response_length": 14 - 0.4 * update, "policy_loss": -0.01 * (update % 4),
            "value_loss": 0.3 / update, "grad_norm": 0.3, "value_grad_norm": 0.5 / update,
            "clip_fraction": 0.08, "outlier_share": 0.01 + 0.02 * update, "tokens_per_second_train": 5100.0 + update,
        },
    )  # fmt: skip


def shot(page: Any, name: str) -> None:
    """A picture for whoever looks at the page; only where OUTERLOOP_SCREENSHOTS names a folder."""
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def fits(page: Any) -> bool:
    """Nothing makes the page itself scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_the_page_follows_the_run_and_names_the_alarm_that_ends_it(
    visit: Any, run: Run, viewport: Any, scheme: str
) -> None:
    ada = person_create("ada", "engineer")
    page = visit(ada, f"/runs/{run.id}/", viewport=viewport, color_scheme=scheme)
    page.get_by_text("Training the policy, 11 of 20").wait_for()
    assert page.locator("svg.plot").count() == 9
    assert fits(page)
    shot(page, f"run-live-{scheme}")
    report(run, 12)
    page.get_by_text("Training the policy, 12 of 20").wait_for()  # without a reload
    RunEventRow.objects.create(
        run=run, seq=13, at=datetime.now(UTC), phase="alarm kl_explosion", step=12, total_steps=20,
        message="KL to the reference is 140 nats a sequence, above alarms.kl_limit (100).",
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(
        state="succeeded", finished_at=timezone.now(), compute_seconds=75,
        manifest={"results": {"stopped_by": "kl_explosion", "updates": 11}, "artifacts": []},
    )  # fmt: skip
    page.get_by_text("Stopped by an alarm").wait_for()
    assert page.get_by_role("alert").inner_text().startswith("Alarm: Exploding KL.")
    assert fits(page)
    shot(page, f"run-alarm-{scheme}")
    page.goto("/runs/")
    page.get_by_role("link", name="Policy by PPO").wait_for()
    assert fits(page)
    shot(page, f"runs-{scheme}")


def test_cancelling_asks_once_and_is_shown_as_stopping(visit: Any, run: Run) -> None:
    page = visit(person_create("ada", "engineer"), f"/runs/{run.id}/")
    page.get_by_role("button", name="Cancel run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    page.get_by_text("stopping; a checkpoint is being saved").wait_for()
    run.refresh_from_db()
    assert run.cancel_requested_at is not None
