"""The JSON-lines inputs of the recipes (see `annotation.rows`); errors name the line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from annotation.rows import DemonstrationRow, PreferenceRow, PromptRow
from training.core.run.errors import UserError
from web.json_contract import ContractError, JsonContract

Message = dict[str, str]
LONGEST_LINE = 64 * 1024 * 1024


RowT = TypeVar("RowT", bound=JsonContract)


def prompts_read(path: Path) -> list[PromptRow]:
    return _rows_read(path, PromptRow, lambda row: _check_messages(row.messages, "user"))


def demonstrations_read(path: Path) -> list[DemonstrationRow]:
    return _rows_read(
        path, DemonstrationRow, lambda row: _check_messages(row.messages, "assistant")
    )


def preferences_read(path: Path) -> list[PreferenceRow]:
    return _rows_read(path, PreferenceRow, lambda row: _check_messages(row.messages, "user"))


def completions_read(path: Path) -> list[dict[str, Any]]:
    """Rows of the `completions` format; the texts of each row are checked."""
    rows = []
    for number, document in _lines(path):
        completions = document.get("completions")
        if not isinstance(completions, list) or not all(
            isinstance(c, dict) and isinstance(c.get("text"), str) for c in completions
        ):
            raise UserError(f"{path}, line {number}: 'completions' must be objects with a 'text'.")
        rows.append(document)
    return rows


def _rows_read(path: Path, row_class: type[RowT], check: Callable[[RowT], None]) -> list[RowT]:
    rows = []
    for number, document in _lines(path):
        try:
            row = row_class.from_json(document)
            check(row)
        except ContractError as error:
            raise UserError(f"{path}, line {number}: {error}") from error
        rows.append(row)
    if not rows:
        raise UserError(f"{path}: the file holds no rows.")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            number = 0
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if line.strip():
                    yield number, _document(f"{path}, line {number}", line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"{path} is a broken gzip file ({error}): copy or write it again."
        ) from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such file.") from error


def _document(where: str, line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise UserError(f"{where}: longer than {LONGEST_LINE // 1024**2} MiB; shorten its texts.")
    try:
        document = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 (byte {error.start + 1}).") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({error}).") from error
    if not isinstance(document, dict):
        raise UserError(f"{where}: expected a JSON object.")
    if b"\\ud" in line.lower() and not _encodable(document):
        raise UserError(
            f"{where}: a text holds half of a surrogate pair, which is no character: it was cut in the middle"
            " of one; leave the half out."
        )
    return document


def _encodable(document: dict[str, Any]) -> bool:
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _check_messages(messages: tuple[Message, ...], last_role: str) -> None:
    if not messages:
        raise ContractError("'messages' is empty.")
    for message in messages:
        if not {"role", "content"} <= message.keys():
            raise ContractError("every message needs 'role' and 'content'.")
    if messages[-1]["role"] != last_role:
        role = messages[-1]["role"]
        raise ContractError(f"the last message must be of the {last_role}, not of the {role}.")


def texts_of(rows: list[DemonstrationRow] | list[PreferenceRow]) -> Iterator[str]:
    """Every text in the rows, for learning a tokenizer."""
    for row in rows:
        for message in row.messages:
            yield message["content"]
        if isinstance(row, PreferenceRow):
            yield from row.completions
