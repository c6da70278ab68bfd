"""Charts: right numbers in the specification, and SVG that a strict page may hold."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from evaluation.contracts import CheckpointRewards, Interval, KlOptimum, RewardMismatch
from evaluation.reports import charts
from evaluation.reports.charts.layers import Series, Values, values_of
from evaluation.reports.charts.links import curve_fits, gain_points, law_points, thinned
from evaluation.reports.charts.render import clean_svg
from evaluation.reports.charts.training import metric_points, update_rows
from evaluation.reports.pages.parts import values_table
from evaluation.statistics.curves import CurveFit
from tests.evaluation.reports import records


def every_chart() -> list[charts.Chart]:
    made = [
        *charts.training_charts(records.PROMOTED),
        charts.reward_by_distance(records.PROMOTED),
        charts.mismatch(records.PROMOTED),
        charts.best_of_n(records.PROMOTED),
        charts.reliability(records.PROMOTED),
        charts.evidence(records.PROMOTED),
        charts.ratings(records.LONG.history),
        charts.win_rates(records.REJECTED.history, simulated=True),
    ]
    return [chart for chart in made if chart is not None]


def test_every_chart_of_a_full_record_is_drawn() -> None:
    titles = [chart.title for chart in every_chart()]
    assert titles == [
        "Reward", "KL to the reference", "Entropy", "Reply length", "Clipped tokens",
        "Spread of the reward models", "Loss of the reward model", "Reward against distance",
        "Reward and evaluation by checkpoint", "Reward of the best of n", "Reliability",
        "Evidence from labels", "Rating by round", "Win rate by round",
    ]  # fmt: skip


def test_nothing_measured_draws_nothing() -> None:
    bare = records.BARE
    assert charts.training_charts(bare) == []
    assert charts.reward_by_distance(bare) is None
    assert charts.mismatch(bare) is None
    assert charts.best_of_n(bare) is None
    assert charts.reliability(bare) is None
    assert charts.evidence(bare) is None
    assert charts.ratings(bare.history) is None
    assert charts.win_rates(bare.history, simulated=False) is None


def test_svg_holds_no_style_no_script_and_no_address() -> None:
    for chart in every_chart():
        svg = charts.chart_svg(chart)
        assert "style" not in svg
        assert not re.search(r"<(script|image|foreignObject|a|use)\b|href|\son\w+=", svg)
        assert "http" not in svg
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        labels = {element.get("id") for element in root if element.tag in {"title", "desc"}}
        assert set(root.get("aria-labelledby", "").split()) == labels
        assert root.findtext("title") == chart.title
        assert root.findtext("desc") == chart.description


def test_every_colour_has_a_class_so_that_it_can_change_in_the_dark() -> None:
    for chart in every_chart():
        for element in ElementTree.fromstring(charts.chart_svg(chart)).iter():
            for part in ("fill", "stroke"):
                colour = element.get(part, "none")
                if colour.startswith("#"):
                    assert f"{part}-" in element.get("class", ""), (chart.title, colour)
                else:
                    assert colour in {"none", "transparent"}, (chart.title, colour)


def test_hostile_markup_in_svg_is_dropped() -> None:
    chart = charts.Chart("<b>", "& so", {}, Values(("x",), ()))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><script>x</script><style>y</style>'
        '<text onclick="z" style="fill:red" fill="#50565f">ok &lt;i&gt;</text></svg>'
    )
    cleaned = clean_svg(svg, chart, prefix="c")
    assert '<text fill="#50565f"' in cleaned
    assert "ok &lt;i&gt;" in cleaned
    assert '<title id="c-t">&lt;b&gt;</title>' in cleaned
    assert not re.search("script|style|onclick", cleaned)


def test_a_chart_is_kept_by_the_digest_of_its_specification(
    settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.VAR_DIR = tmp_path
    chart = every_chart()[0]
    first = charts.chart_svg(chart)
    assert len(list((tmp_path / "charts").iterdir())) == 1
    monkeypatch.setattr("vl_convert.vegalite_to_svg", None)  # a second rendering would fail
    assert charts.chart_svg(chart) == first


def test_gain_starts_at_zero_at_the_reference_and_follows_sqrt_kl() -> None:
    rows = ({"kl_k3": 4.0, "reward_train": 1.5}, {"kl_k3": 0.0, "reward_train": 0.5})
    assert gain_points(rows, "reward_train") == [(0.0, 0.0), (2.0, 1.0)]


def test_gain_prefers_the_exact_kl() -> None:
    rows = ({"kl_exact": 0.0, "kl_k3": 5.0, "r": 0.0}, {"kl_exact": 9.0, "kl_k3": 4.0, "r": 1.0})
    assert gain_points(rows, "r") == [(0.0, 0.0), (3.0, 1.0)]


def test_the_drawn_law_is_gaos() -> None:
    (first, second) = law_points(CurveFit("rl", "train", 0.6, 0.1), 2.0, count=2)
    assert first == (1.0, 0.6)
    assert second[1] == pytest.approx(2 * (0.6 - 0.1 * math.log(2)))
    (first, second) = law_points(CurveFit("best_of_n", "train", 0.6, 0.1), 2.0, count=2)
    assert first[1] == pytest.approx(0.5)
    assert second[1] == pytest.approx(0.8)


def test_the_fit_finds_the_law_that_made_the_rows() -> None:
    train, held_out = curve_fits(records.ppo_rows())
    assert train.alpha == pytest.approx(0.6)
    assert train.beta == pytest.approx(0.1)
    assert held_out.alpha == pytest.approx(0.55)
    assert held_out.beta == pytest.approx(0.12)


def test_too_few_points_are_not_fitted() -> None:
    assert curve_fits(records.ppo_rows(8)) == ()  # seven above zero


def test_a_peak_inside_the_run_is_said_and_both_laws_are_drawn() -> None:
    """The rows of an over-optimised run follow d (0.55 - 0.75 log d): the peak is at exp(2 (0.55 / 0.75 - 1))."""
    chart = charts.reward_by_distance(records.REJECTED)
    assert chart is not None
    assert (
        f"held-out reward peaks at {math.exp(2 * (0.55 / 0.75 - 1)):.1f} nats" in chart.description
    )
    assert str(chart.spec).count("law fitted to") == 80  # two fits of forty points


def test_the_distance_chart_shows_the_optimum_that_the_gate_held_the_candidate_to() -> None:
    chart = charts.reward_by_distance(records.FORESEEN)
    assert chart is not None
    assert (
        "4.2 nats, the optimum fitted on rounds 2, 5 and 7, to which the gate" in chart.description
    )
    upright = chart.spec["layer"][-1]
    assert upright["mark"]["type"] == "rule"
    assert upright["data"]["values"] == [{"x": pytest.approx(math.sqrt(4.2))}]


@pytest.mark.parametrize("forecast", [None, KlOptimum(12.0, (1,))])
def test_a_forecast_that_the_gate_did_not_use_is_not_drawn(forecast: KlOptimum | None) -> None:
    """PROMOTED was held to the budget of 10 nats: no forecast, or one beyond the budget."""
    drawn = charts.reward_by_distance(replace(records.PROMOTED, kl_optimum=forecast))
    assert drawn == charts.reward_by_distance(records.PROMOTED)


def test_the_mismatch_shows_both_rewards_and_their_steps() -> None:
    points = (CheckpointRewards(0, 0.0, 1.0), CheckpointRewards(5, 0.5, 0.75))
    found = RewardMismatch(points, None, 1)
    chart = charts.mismatch(replace(records.PROMOTED, mismatch=found))
    assert chart is not None
    levels, steps = chart.spec["vconcat"]
    assert [(r["x"], r["y"], r["series"]) for r in levels["data"]["values"]] == [
        (0.0, 0.0, "training"), (5.0, 0.5, "training"), (0.0, 1.0, "held-out"), (5.0, 0.75, "held-out"),
    ]  # fmt: skip
    assert [(r["x"], r["y"], r["series"]) for r in steps["layer"][0]["data"]["values"]] == [
        (5.0, 0.5, "training"), (5.0, -0.25, "held-out"),
    ]  # fmt: skip
    assert chart.description == (
        "Over 2 checkpoints up to the candidate the training reward went from 0.00 to 0.50 z, the "
        "held-out reward from 1.00 to 0.75 z. At the last step the training reward rose while the "
        "held-out reward fell."
    )


def test_the_correlation_of_steps_is_said_with_its_interval() -> None:
    chart = charts.mismatch(records.PROMOTED)
    assert chart is not None
    assert "correlate by 0.60 (0.20 to 0.80) (Spearman, 90% interval)." in chart.description


def test_thinning_keeps_the_end_and_the_peak() -> None:
    points = list(records.trajectory(2000))
    points[777] = replace(points[777], e_value=1e9)
    kept = thinned(points)
    assert len(kept) <= 202
    assert points[777] in kept
    assert kept[-1] == points[-1]


def test_a_resumed_run_and_its_closing_measurement_draw_each_update_once() -> None:
    rows = (
        {"step": 1.0, "entropy": 2.0, "clip_fraction": 0.1},
        {"step": 2.0, "entropy": 9.0, "clip_fraction": 0.1},
        {"step": 2.0, "entropy": 1.5, "clip_fraction": 0.1},
        {"step": 1.0, "entropy": 1.0},
    )
    assert metric_points(update_rows(rows), "entropy") == [(1.0, 2.0), (2.0, 1.5)]


def test_the_members_of_an_ensemble_are_drawn_as_their_mean() -> None:
    rows = ({"step": 1.0, "loss": 0.6}, {"step": 2.0, "loss": 0.4}, {"step": 1.0, "loss": 0.8})
    assert metric_points(rows, "loss") == [(1.0, pytest.approx(0.7)), (2.0, 0.4)]


def test_the_numbers_of_a_chart_have_a_row_for_each_place_and_say_what_is_missing() -> None:
    parted = (
        Series("training", "#000", [(1.0, 0.5), (2.0, 0.25)]),
        Series("held-out", "#000", [(2.0, 1200.0)]),
    )
    chart = charts.Chart(
        "Reward", "", {"mark": "line", "data": {"values": []}}, values_of("step", parted)
    )
    shown = values_table(chart)
    assert (shown.caption, shown.headings) == (
        "Reward in numbers",
        ("step", "training", "held-out"),
    )
    assert [(row.name, row.cells) for row in shown.rows] == [
        ("1", ("0.5", "not measured")),
        ("2", ("0.25", "1,200")),
    ]


def test_many_points_are_thinned_in_the_numbers_and_the_last_is_kept() -> None:
    points = [(float(n), n / 3) for n in range(1, 613)]
    chart = charts.Chart("Loss", "", {}, values_of("step", [Series("loss", "#000", points)]))
    shown = values_table(chart)
    assert shown.rows[0].name == "1"
    assert (shown.rows[-1].name, shown.rows[-1].cells) == ("612", ("204",))
    assert shown.caption == f"Loss in numbers: {len(shown.rows)} of 612 points"
    assert len(shown.rows) <= 26


def test_every_chart_gives_the_numbers_that_it_draws() -> None:
    for chart in every_chart():
        assert len(chart.values.rows) >= 2, chart.title
        assert {len(row) for row in chart.values.rows} == {len(chart.values.columns)}, chart.title


def best_of_n_words(held_out: tuple[float, ...], step: tuple[float, float, float]) -> str:
    """What the chart says of a curve that goes through `held_out`; every step of it is `step`."""
    policy = records.PROMOTED.policy
    assert policy is not None
    assert policy.best_of_n is not None
    curve = policy.best_of_n
    points = tuple(
        replace(
            point,
            held_out=replace(point.held_out, estimate=value),
            held_out_step=None if point.n == 1 else Interval(step[1], step[0], step[2], 0.95, 32),
        )
        for point, value in zip(curve.points, held_out, strict=True)
    )
    measured = replace(policy, best_of_n=replace(curve, points=points))
    chart = charts.best_of_n(replace(records.PROMOTED, policy=measured))
    assert chart is not None
    return chart.description


@pytest.mark.parametrize(
    ("held_out", "step", "says"),
    [
        (
            (0.1, 0.4, 0.6, 0.5),
            (-0.3, -0.1, -0.05),
            "highest at the best of 4 (at most 0.64 nats); from there to the best of 8 it changes by "
            "-0.10 (-0.30 to -0.05) z, so it falls.",
        ),
        (
            (0.1, 0.4, 0.6, 0.5),
            (-0.3, -0.1, 0.1),
            "(-0.30 to 0.10) z, which cannot be told from standing still.",
        ),
        (
            (0.9, 0.4, 0.6, 0.5),
            (-0.3, -0.1, 0.1),
            "highest with no choice at all, at n = 1; from there to the best of 2",
        ),
        (
            (0.1, 0.4, 0.6, 0.7),
            (0.05, 0.1, 0.2),
            "largest n measured, 8; the step from the best of 4 to it is 0.10 (0.05 to 0.20) z, "
            "so within what was measured it does not stop rising.",
        ),
        (
            (0.1, 0.4, 0.6, 0.7),
            (-0.05, 0.1, 0.2),
            "(-0.05 to 0.20) z, so whether it still rises there cannot be told.",
        ),
    ],
)
def test_where_the_held_out_curve_stops_rising_is_said_as_far_as_it_is_known(
    held_out: tuple[float, ...], step: tuple[float, float, float], says: str
) -> None:
    assert says in best_of_n_words(held_out, step)


def test_the_best_of_n_chart_gives_every_point_with_its_intervals() -> None:
    chart = charts.best_of_n(records.PROMOTED)
    assert chart is not None
    assert list(chart.values.rows[2]) == pytest.approx([4.0, 0.64, 1.0, 0.8, 1.2, 0.6, 0.4, 0.8])
    assert (
        "takes its own reward from 0.00 to 1.40 z and the held-out reward from 0.10 to 0.50 z"
        in (chart.description)
    )
