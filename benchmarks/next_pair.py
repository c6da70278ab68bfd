"""How long an annotator looks at the pair just answered before the next one is painted, in Chromium.

    python -m benchmarks.next_pair --name "three held ahead" [--pairs 150]

The site is the process that `make up` starts, on a PostgreSQL server of its own. A program in the page
presses `2` and `Ctrl+Enter`, waits for the frame after the one in which the next pair stands, and thinks
for as long as `THINKING` says: not at all, which no person does, and half a second, which few do. The load
of the machine is kept beside the figures, since other work on it lengthens them. The result is kept in
benchmarks/results/next_pair.json.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, sync_playwright

import benchmarks.django_ready  # noqa: F401
from annotation.campaigns.models import Campaign
from annotation.comparisons.services import pairs_create, prompts_ensure
from annotation.contracts import NewCompletion, NewPair, NewPrompt
from benchmarks.databases import database_new
from benchmarks.results_file import result_head
from tests.annotation.factories import a_campaign
from tests.support.browser import ARGUMENTS, DESKTOP
from tests.support.chromium import chromium_ensure
from tests.support.installation import Installation
from tests.support.people import person_create
from tests.support.postgres import PostgresServer, wheel_binaries

RESULTS = Path(__file__).parent / "results" / "next_pair.json"
THINKING = {"without thinking": 0, "half a second of thinking": 500}  # milliseconds
LATE_MS = 10_000

# Milliseconds from the key to the frame after the next pair stands, for each of `pairs`.
VOTES = """async ({ pairs, thinking, late }) => {
  const prompt = document.getElementById("prompt");
  const item = document.getElementById("item");
  const press = (key, ctrlKey) => document.dispatchEvent(new KeyboardEvent("keydown", { key, ctrlKey }));
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const waits = [];
  for (let n = 0; n < pairs; n += 1) {
    await pause(thinking);
    const before = prompt.textContent;
    const pressed = performance.now();
    press("2", false);
    press("Enter", true);
    while (item.hidden || prompt.textContent === before) {
      if (performance.now() - pressed > late) throw new Error(`no pair after ${late} ms, at ${n}`);
      await frame();
    }
    await frame();
    waits.push(performance.now() - pressed);
  }
  return waits;
}"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", required=True, help="what this run is called in the result file")
    parser.add_argument("--pairs", type=int, default=150, help="pairs answered at each pace")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    folder = Path(tempfile.mkdtemp(prefix="outerloop-next-"))
    try:
        with PostgresServer(wheel_binaries()) as server:
            result = _measure(server, folder, arguments.pairs)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _keep(arguments.name, result)
    _table(json.loads(RESULTS.read_text())["runs"])
    return 0


def _measure(server: PostgresServer, folder: Path, pairs: int) -> dict[str, Any]:
    url = database_new(server, "pace")
    campaign = _campaign(len(THINKING) * pairs + 10)
    cookie = _session(campaign)
    connection.close()
    secret = str(settings.SECRET_KEY)
    result: dict[str, Any] = {**result_head(), "load before": os.getloadavg()[0]}
    with (
        Installation(folder, url, OUTERLOOP_SECRET_KEY=secret) as site,
        sync_playwright() as playwright,
    ):
        site.start("site")
        browser = playwright.chromium.launch(executable_path=chromium_ensure(), args=ARGUMENTS)
        for pace, thinking in THINKING.items():
            address = f"http://127.0.0.1:{site.port}"
            waits = _waits(browser, address, campaign, cookie, pairs, thinking)
            result[pace] = _quantiles(waits)
        browser.close()
    return {**result, "load after": os.getloadavg()[0]}


def _campaign(count: int) -> Campaign:
    """Pairs of the length that chat models write: a few paragraphs, a list, some code."""
    campaign = a_campaign(name="Pace")
    turns = [({"role": "user", "content": f"How do I sort list {n}?"},) for n in range(count)]
    prompts = prompts_ensure(line_id=campaign.line, prompts=[NewPrompt(messages=t) for t in turns])
    body = "\n\n".join(["Sorting keeps the order that you give. " * 12] * 3)
    code = "```python\nrows = sorted(rows, key=lambda row: row.name)\nprint(rows)\n```"
    texts = [f"{body}\n\n- first\n- second\n\n{code}\n\nAnswer {side}" for side in "AB"]
    first, second = (NewCompletion(text) for text in texts)
    pairs = [NewPair(prompt.pk, (first, second)) for prompt in prompts]
    pairs_create(campaign=campaign, purpose="training", pairs=pairs)
    return campaign


def _session(campaign: Campaign) -> str:
    client = Client()
    user = person_create("pace", "annotator", line=campaign.line)
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return str(client.cookies[settings.SESSION_COOKIE_NAME].value)


def _waits(
    browser: Browser, address: str, campaign: Campaign, cookie: str, pairs: int, thinking: int
) -> list[float]:
    context = browser.new_context(base_url=address, viewport=DESKTOP)  # type: ignore[arg-type]
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": address}],
    )
    page = context.new_page()
    for _ in range(100):  # the site is starting
        try:
            page.goto(f"/compare/{campaign.pk}/")
            break
        except Exception:
            time.sleep(0.3)
    page.wait_for_selector("#item:not([hidden])")
    page.wait_for_load_state("networkidle")
    found = page.evaluate(VOTES, {"pairs": pairs, "thinking": thinking, "late": LATE_MS})
    page.wait_for_load_state("networkidle")
    context.close()
    return list(found)


def _quantiles(waits: list[float]) -> dict[str, float]:
    ordered = sorted(waits)
    named = {"p50": 0.5, "p95": 0.95, "longest": 1.0}
    found = {
        n: round(ordered[min(len(ordered) - 1, int(q * len(ordered)))]) for n, q in named.items()
    }
    return {"pairs": len(waits), **found}


def _keep(name: str, result: dict[str, Any]) -> None:
    runs = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else {}
    runs[name] = result
    RESULTS.write_text(json.dumps({**result_head(), "runs": runs}, indent=1) + "\n")


def _table(runs: dict[str, Any]) -> None:
    print(f"{'milliseconds to the next pair':46} {'p50':>6} {'p95':>6} {'longest':>8} {'load':>10}")
    for name, run in runs.items():
        for pace in THINKING:
            found, load = run[pace], f"{run['load before']:.1f}-{run['load after']:.1f}"
            row = f"{found['p50']:6} {found['p95']:6} {found['longest']:8}"
            print(f"{name + ', ' + pace:46} {row} {load:>10}")


if __name__ == "__main__":
    sys.exit(main())
