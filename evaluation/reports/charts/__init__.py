"""Charts of a round and of a line: pure functions from records to Vega-Lite, and their rendering."""

from evaluation.reports.charts.best_of_n import best_of_n
from evaluation.reports.charts.history import ratings, win_rates
from evaluation.reports.charts.layers import Chart
from evaluation.reports.charts.links import evidence, reliability, reward_by_distance
from evaluation.reports.charts.mismatch import mismatch
from evaluation.reports.charts.render import chart_svg
from evaluation.reports.charts.training import training_charts

__all__ = [
    "Chart",
    "best_of_n",
    "chart_svg",
    "evidence",
    "mismatch",
    "ratings",
    "reliability",
    "reward_by_distance",
    "training_charts",
    "win_rates",
]
