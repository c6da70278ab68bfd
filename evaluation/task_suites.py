"""Tasks of lm-evaluation-harness as suites: read from a name or a folder, and checked by a program.

The site itself imports neither the library nor the code that a task may bring: `check_task_suite` does, as
a child without the site's secrets. A folder must lie in one that OUTERLOOP_TASK_FOLDERS names.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from django.conf import settings

from evaluation.contracts import TaskSuite
from evaluation.suite_files import BYTES_MOST, ITEMS_MOST, SuiteError
from training import facade as training
from training.contracts import EXIT_USER

__all__ = ["task_library", "task_library_missing", "task_suite_read"]

CHECK_SECONDS = 100
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
    """The task, by its name in the library or by the path of its folder or YAML file, as it can be
    attached; `SuiteError` says in a sentence why it cannot. Takes some seconds."""
    missing = task_library_missing()
    if missing:
        raise SuiteError(missing)
    if not 2 <= limit <= ITEMS_MOST:
        raise SuiteError(f"A suite asks 2 to {ITEMS_MOST:,} items; the limit is {limit:,}.")
    files: dict[str, str] = {}
    if "/" in task:
        file = _task_file(_allowed(Path(task)))
        task, files = file.name, _folder_files(file.parent)
    return _checked(TaskSuite(name, task, metric, limit, chat, files=files))


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


def _checked(suite: TaskSuite) -> TaskSuite:
    """What the program makes of the suite, run without the site's secrets."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", PROGRAM],
            input=json.dumps(suite.to_json()),
            capture_output=True,
            text=True,
            cwd=settings.BASE_DIR,
            env=training.child_environment(),
            timeout=CHECK_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise SuiteError(
            f"Checking {suite.task} took more than {CHECK_SECONDS} seconds: set fewer items, or look at what"
            " the task does."
        ) from error
    if done.returncode not in (0, EXIT_USER):
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise SuiteError(f"{suite.task} could not be checked: {said}")
    answer = json.loads(done.stdout)
    if done.returncode == EXIT_USER:
        raise SuiteError(answer["error"])
    return TaskSuite.from_json(answer)
