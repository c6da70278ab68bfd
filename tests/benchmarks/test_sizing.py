"""The page about sizes shows what `benchmarks.sizing` works out, and this what follows from formulas by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import sizing

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "sizing.md"
PARTS = r"<!-- sizing: (\w+) -->\n(.*?)\n?<!-- sizing: end -->"


def shown() -> dict[str, str]:
    return dict(re.findall(PARTS, PAGE.read_text(), flags=re.S))


def test_the_page_shows_the_tables_of_the_program() -> None:
    assert shown() == sizing.tables()


@pytest.mark.parametrize(("name", "billions"), [("1 B", 1.24), ("8 B", 8.03), ("70 B", 70.55)])
def test_the_models_have_the_sizes_of_llama_3(name: str, billions: float) -> None:
    assert sizing.weights_of(name) / 1e9 == pytest.approx(billions, abs=0.01)


def test_weights_gradients_and_moments_are_what_a_person_would_count() -> None:
    """Whole: seven networks of 4 bytes a weight, of which policy and critic learn by 12 more."""
    found = sizing.ppo_memory("1 B", *sizing.WAYS["all whole, one GPU"])
    policy = sizing.weights_of("1 B")
    assert found.weights == pytest.approx(7 * 4 * policy, rel=0.001)
    assert found.gradients + found.optimizer == pytest.approx(2 * 12 * policy, rel=0.001)
    adapters = sizing.ppo_memory("1 B", *sizing.WAYS["all by adapters on one base, one GPU"])
    assert 4 * policy < adapters.weights < 1.1 * 4 * policy


def test_the_hours_of_a_night_by_hand() -> None:
    machine = sizing.Measured(training=1e12, sampling_share=0.5, bytes_a_second=1e9)
    parts = sizing.night_parts(10**9, machine)
    # 100 x 64 replies of 384 tokens, two networks, two passes, eight operations a weight
    learning = 8e9 * 2 * 2 * 6_400 * 384 / 1e12 / 3600
    assert parts["PPO, learning"] == pytest.approx(learning)
    assert parts["reward models"] == pytest.approx(8e9 * 2 * 5_000 * 384 * 3 / 1e12 / 3600)
    # 6,400 + 768 + 2,000 replies, 64 at once, of 256 steps that read 2 GB at 0.5 GB/s
    assert parts["sampling"] == pytest.approx(9_168 / 64 * 256 * 4 / 3600)


def test_the_share_of_what_was_measured_grows_with_the_people() -> None:
    rows = sizing.people_rows()
    shares = [float(row[3].rstrip("%")) for row in rows]
    assert shares[1] == pytest.approx(10 * shares[0], rel=0.2)
    assert float(rows[2][2]) == pytest.approx(100 * 2_000 / 8 / 3600, rel=0.05)
