"""The evaluation room's part of the programming interface; the roof joins it to the others'."""

from __future__ import annotations

from evaluation.gates.api import router as gates
from evaluation.reports.api import router as reports

ROUTERS = (gates, reports)
