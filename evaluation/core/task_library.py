"""Tasks of lm-evaluation-harness (`lm_eval`, an extra): opened offline, asked, and scored item by item.

Nothing here needs torch: a task is checked with a model that knows nothing. The library itself builds
prompts, reads replies and scores them; what is kept are its per-item scores (`log_samples`).
"""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evaluation.contracts import TaskSuite

__all__ = ["OpenTask", "TaskRefused", "TaskScores", "task_opened", "task_scored"]

MISSING = (
    "The package lm-eval is not installed where this runs: pip install 'outerloop[lm-eval]', or in a"
    " checkout pip install 'lm-eval>=0.4.13,<0.5'."
)
PROMPT_SHOWN = 2000
TOLERANCE = 1e-6
MEANS = ("mean", "nanmean")
Tasks = Mapping[str, Any]


class TaskRefused(ValueError):
    """The task cannot be measured; the message says why."""


@dataclass(frozen=True)
class OpenTask:
    """The library's objects: `parts` by name, several where the name is that of a group, and what
    loaded them."""

    parts: Tasks
    manager: Any


@dataclass(frozen=True)
class TaskScores:
    """What a model made of N items: `values` in [0, 1], with the part of the task that each is from.

    `texts` are replies, empty where likelihoods were compared; `chance` is the share right by guessing;
    `digest` tells the items and their answers from others.
    """

    metric: str
    values: tuple[float, ...]
    parts: tuple[str, ...]
    prompts: tuple[str, ...]
    texts: tuple[str, ...]
    chance: float
    digest: str


@contextmanager
def task_opened(suite: TaskSuite) -> Iterator[OpenTask]:
    """The library's task, with its data; `TaskRefused` where they cannot be had.

    Files of a folder are unpacked into a place that ends with the block, and paths of its data are read
    from there; their copies in Arrow stay out of the user's cache.
    """
    if find_spec("lm_eval") is None:
        raise TaskRefused(MISSING)
    if not suite.files:
        yield _loaded(suite.task)
        return
    config = import_module("datasets").config
    kept = config.HF_DATASETS_CACHE
    with tempfile.TemporaryDirectory(prefix="outerloop-task-") as place:
        folder = Path(place) / "task"
        _unpack(suite.files, folder)
        config.HF_DATASETS_CACHE = Path(place) / "datasets"
        try:
            with chdir(folder):
                opened = _loaded(suite.task, folder)
            yield opened
        finally:
            config.HF_DATASETS_CACHE = kept


def _unpack(files: Mapping[str, str], folder: Path) -> None:
    for name, text in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise TaskRefused(f"The task's file {name!r} lies outside of its folder.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _loaded(name: str, folder: Path | None = None) -> OpenTask:
    """What `name`, of the library or of a file in `folder`, stands for; what the library raises becomes a sentence."""
    manager = _manager(name, folder)
    if folder is None and name not in manager.all_tasks:
        near = get_close_matches(name, manager.all_tasks, n=3)
        hint = f" Near it: {', '.join(near)}." if near else ""
        raise TaskRefused(f"lm-eval has no task named {name!r}.{hint}")
    try:
        parts: Tasks = manager.load(_named(manager, folder / name) if folder else name)["tasks"]
    except Exception as error:
        raise TaskRefused(_why_not(name, error, local=folder is not None)) from error
    if not parts:
        raise TaskRefused(f"{name} stands for no task of its own.")
    return OpenTask(parts, manager)


def _manager(name: str, folder: Path | None) -> Any:
    """Knows the tasks of `folder`, or of the library.

    Reading all of the library's 14,000 takes half a minute, so the part whose name begins that of the
    task is read first.
    """
    module = import_module("lm_eval.tasks")
    if folder is not None:
        return module.TaskManager(include_path=str(folder), include_defaults=False)
    home = Path(str(module.__file__)).parent
    parts = [p for p in home.iterdir() if p.is_dir() and name.startswith(p.name)]
    for part in sorted(parts, key=lambda p: -len(p.name)):
        manager = module.TaskManager(include_path=str(part), include_defaults=False)
        if name in manager.all_subtasks:
            return manager
    return module.TaskManager()


def _named(manager: Any, file: Path) -> str:
    """What the file calls its task or group: a group cannot be loaded by its path."""
    known = manager.task_index.items()
    names = [n for n, e in known if e.yaml_path and Path(e.yaml_path).resolve() == file.resolve()]
    groups = [name for name in names if name in manager.all_groups]
    return next(iter(groups or names), str(file))


def _why_not(name: str, error: Exception, *, local: bool) -> str:
    said = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".") + "."
    module = type(error).__module__.split(".")[0]
    unreachable = module in {"datasets", "huggingface_hub", "requests", "httpx"}
    if not unreachable and not isinstance(error, OSError):
        return f"lm-eval cannot read the task {name}: {said}"
    fix = (
        "Give data_files by a path within the task's folder."
        if local
        else "Fetch them once where programs run (they ask no hub: HF_HUB_OFFLINE is 1), or take a folder"
        " with a task and its data."
    )
    return f"The items of {name} cannot be had offline: {said} {fix}"


def task_scored(suite: TaskSuite, opened: OpenTask, model: Any, *, seed: int | None) -> TaskScores:
    """Ask `model`, an `lm_eval.api.model.LM`, and read the library's score of each item.

    The same seed asks in the same way, few-shot examples and sampled replies included. `TaskRefused`
    where no score is of single items.
    """
    tasks = opened.parts
    seed = None if seed is None else seed % 2**32
    found = import_module("lm_eval").simple_evaluate(
        model=model,
        tasks=list(tasks.values()),
        task_manager=opened.manager,
        limit=suite.limit,
        bootstrap_iters=0,
        log_samples=True,
        apply_chat_template=suite.chat,
        fewshot_as_multiturn=suite.chat,
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        fewshot_random_seed=seed or 0,
    )
    metric = _metric(suite, tasks, found)
    rows = [
        (name, sample) for name in tasks for sample in _samples(found, name, metric.split(",")[1])
    ]
    return _scores(metric, tasks, rows)


def _metric(suite: TaskSuite, tasks: Tasks, found: Mapping[str, Any]) -> str:
    """ "metric,filter" of the wanted score, else of the first that is of single items in every part."""
    first = next(iter(tasks))
    known = list(
        dict.fromkeys(
            f"{metric},{sample['filter']}"
            for sample in found["samples"][first]
            for metric in sample["metrics"]
        )
    )
    name, _, reply = suite.metric.partition(",")
    wanted = [
        m
        for m in known
        if not name or m == f"{name},{reply}" or (m.split(",")[0], "") == (name, reply)
    ]
    if not wanted:
        listed = ", ".join(known)
        raise TaskRefused(f"{suite.task} has no score {suite.metric!r}; it has {listed}.")
    whys = []
    for metric in wanted:
        why = next((w for t in tasks if (w := _not_per_item(t, tasks[t], metric, found))), "")
        if not why:
            return metric
        whys.append(f"{metric} {why}")
    raise TaskRefused(
        f"{suite.task} has no score of single items that could be paired: {'; '.join(whys)}."
    )


def _not_per_item(name: str, task: Any, metric: str, found: Mapping[str, Any]) -> str:
    """Why the score is not the mean of one value in [0, 1] an item, more being better; else empty."""
    label, reply = metric.split(",")
    values: list[Any] = [sample.get(label) for sample in _samples(found, name, reply)]
    if not values or any(value is None for value in values):
        return f"is missing in {name}"
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return "is worked out of all items at once"
    if not all(0 <= number <= 1 for number in numbers):
        return "is no share between 0 and 1 of an item"
    if not task.higher_is_better().get(label, True):
        return "is better where it is smaller"
    registered = import_module("lm_eval.api.registry").AGGREGATION_REGISTRY.items()
    by = next((n for n, f in registered if f is task.aggregation().get(label)), "mean")
    if by not in MEANS:
        return f"is no mean over items ({by})"
    whole = found["results"][name].get(metric)
    mean = math.fsum(numbers) / len(numbers)
    if not isinstance(whole, int | float) or abs(whole - mean) > TOLERANCE:
        return "is not the mean over items"
    return ""


def _samples(found: Mapping[str, Any], name: str, reply: str) -> list[Mapping[str, Any]]:
    rows = [sample for sample in found["samples"][name] if sample["filter"] == reply]
    return sorted(rows, key=lambda sample: int(sample["doc_id"]))


def _scores(metric: str, tasks: Tasks, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> TaskScores:
    label = metric.split(",")[0]
    several = len(tasks) > 1
    told = "".join(f"{n} {s['doc_hash']} {s['target_hash']}\n" for n, s in rows)
    guesses = [_chance(tasks[name], label, sample) for name, sample in rows]
    return TaskScores(
        metric=metric,
        values=tuple(float(sample[label]) for _, sample in rows),
        parts=tuple(name if several else "" for name, _ in rows),
        prompts=tuple(str(s["arguments"][0][0])[-PROMPT_SHOWN:] for _, s in rows),
        texts=tuple(_reply(tasks[name], sample) for name, sample in rows),
        chance=math.fsum(guesses) / len(guesses),
        digest=hashlib.sha256(told.encode()).hexdigest(),
    )


def _chance(task: Any, label: str, sample: Mapping[str, Any]) -> float:
    """One in so many choices, where the likeliest of them is taken."""
    if task.OUTPUT_TYPE != "multiple_choice" or not label.startswith("acc"):
        return 0.0
    return 1 / len(task.doc_to_choice(sample["doc"]))


def _reply(task: Any, sample: Mapping[str, Any]) -> str:
    return str(sample["resps"][0][0]) if task.OUTPUT_TYPE == "generate_until" else ""
