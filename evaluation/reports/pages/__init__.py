"""What the templates get: plain values, put together from a record."""

from evaluation.reports.pages.history_page import HistoryPage, history_page
from evaluation.reports.pages.report_page import ReportPage, report_page

__all__ = ["HistoryPage", "ReportPage", "history_page", "report_page"]
