"""How a log line is written: for people on a terminal, or one JSON object for a log store."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from .tracing import log_fields

# Attributes that every record has; what else is there was given as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SIMPLE = (str, int, float, bool)
SHORT = 8


class JsonFormatter(logging.Formatter):
    """One object a line: at, level, logger, message, the open ids, `extra`, and error with its trace.

    Values of `extra` that are no plain text, number or truth value are left out.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **log_fields(),
            **_extra(record),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Time, level, logger and message; at the end the open ids, shortened."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        ids = [
            f"{name.removesuffix('_id')} {value[:SHORT] if name.endswith('_id') else value}"
            for name, value in log_fields().items()
        ]
        return super().formatMessage(record) + (f"  [{', '.join(ids)}]" if ids else "")


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(record).items()
        if name not in _OWN and isinstance(value, _SIMPLE)
    }
