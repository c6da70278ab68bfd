"""Tasks of lm-evaluation-harness as suites: read from a name or a folder, and checked by a program.

The site itself imports neither the library nor the code that a task may bring: `check_task_suite` does, as
a child without the site's secrets. A folder must lie in one that OUTERLOOP_TASK_FOLDERS names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from evaluation.contracts import TaskSuite
from evaluation.suite_files import BYTES_MOST, ITEMS_MOST, SuiteError
from training import facade as training
from training.contracts import EXIT_USER

__all__ = [
    "TASK_CHECK_MINUTES",
    "task_library",
    "task_library_missing",
    "task_suite_check",
    "task_suite_read",
]

TASK_CHECK_MINUTES = 10
FILES_MOST = 200
PROGRAM = "evaluation.recipes.check_task_suite"
_TASK_FILE = re.compile(r"^(task|group):", re.MULTILINE)


def task_library() -> str:
    """The installed release of lm-eval; empty where there is none."""
    return metadata.version("lm-eval") if find_spec("lm_eval") else ""


def task_library_missing() -> str:
    """A sentence where no task can be attached or measured here; else empty."""
    if task_library():
        return ""
    return (
        "The package lm-eval is not installed here, so no task of lm-evaluation-harness can be attached or"
        " measured: pip install 'outerloop[lm-eval]', or in a checkout pip install 'lm-eval>=0.4.13,<0.5'."
    )


def task_suite_read(*, name: str, task: str, metric: str, limit: int, chat: bool) -> TaskSuite:
    """The task, by its name in the library or by the path of its folder or YAML file, with its files as
    they are now, unchecked; `SuiteError` says in a sentence why it cannot be attached."""
    missing = task_library_missing()
    if missing:
        raise SuiteError(missing)
    if not 2 <= limit <= ITEMS_MOST:
        raise SuiteError(f"A suite asks 2 to {ITEMS_MOST:,} items; the limit is {limit:,}.")
    files: dict[str, str] = {}
    if "/" in task:
        file = _task_file(_allowed(Path(task)))
        task, files = file.name, _folder_files(file.parent)
    return TaskSuite(name, task, metric, limit, chat, files=files)


def _allowed(path: Path) -> Path:
    """`path`, links followed, where it lies in a folder that an operator has named."""
    found = path.resolve()
    folders = [Path(folder).resolve() for folder in settings.OUTERLOOP_TASK_FOLDERS]
    if not any(found.is_relative_to(folder) for folder in folders):
        named = ", ".join(map(str, folders)) or "it names none"
        raise SuiteError(
            f"{path} lies in no folder that OUTERLOOP_TASK_FOLDERS names ({named}): a task may bring code,"
            " so an operator says where tasks may lie."
        )
    if not found.exists():
        raise SuiteError(f"There is no {path}.")
    return found


def _task_file(path: Path) -> Path:
    """The YAML file of the task: `path` itself, or the only one in this folder."""
    if path.is_file():
        return path
    files = [f for f in sorted(path.glob("*.y*ml")) if _TASK_FILE.search(_text(f))]
    if len(files) == 1:
        return files[0]
    if not files:
        raise SuiteError(f"{path} holds no YAML file that names a task.")
    listed = ", ".join(file.name for file in files)
    raise SuiteError(f"{path} holds several tasks: name the file of one ({listed}).")


def _folder_files(folder: Path) -> dict[str, str]:
    """All that lies in the task's folder, name to text, hidden files and compiled code left out."""
    files: dict[str, str] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or any(p.startswith(".") or p == "__pycache__" for p in name.parts):
            continue
        size += path.stat().st_size
        if size > BYTES_MOST or len(files) >= FILES_MOST:
            raise SuiteError(
                f"{folder} holds more than {BYTES_MOST // 1_000_000} MB or {FILES_MOST} files: give the task"
                " a folder of its own with no more than it needs."
            )
        _allowed(path)  # a link may lead out
        files[str(name)] = _text(path)
    return files


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SuiteError(
            f"{path} is not UTF-8 text; a task's folder may hold YAML, Python, JSON lines and CSV."
        ) from error
    except OSError as error:
        raise SuiteError(f"{path} cannot be read: {error.strerror}.") from error


def task_suite_check(suite: TaskSuite, *, beat: Callable[[], None]) -> TaskSuite:
    """The suite as it can be attached, by a program without the site's secrets; `SuiteError` says why it cannot.

    Takes seconds to minutes; `beat` is called meanwhile, and what it raises ends the program.
    """
    given = json.dumps(suite.to_json()).encode()
    said = training.program_ask(PROGRAM, given=given, beat=beat, seconds=TASK_CHECK_MINUTES * 60)
    if said.code is None:
        raise SuiteError(
            f"Checking {suite.task} took more than {TASK_CHECK_MINUTES} minutes: set fewer items, or look at what"
            " the task does."
        )
    if said.code not in (0, EXIT_USER):
        last = (said.log.decode(errors="replace").strip() or "it said nothing").splitlines()[-1]
        raise SuiteError(f"{suite.task} could not be checked: {last}")
    answer = json.loads(said.output)
    if said.code == EXIT_USER:
        raise SuiteError(answer["error"])
    return TaskSuite.from_json(answer)
