"""What an order takes from the server: pretrained models from folders, and reward functions and verifiers from
modules, that an operator has allowed. The models are hashed as inputs.

A plan is written by an engineer on a page, and read by a program on the server: without this, a path in
it would read any folder that the server may read, what was read would be on no record, and a function's
name would call any code that is installed there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from django.conf import settings

from training.contracts import ContractError, InputRef
from training.digests import nothing, path_sha256
from training.model_files import model_folder_check

FUNCTIONS = ("reward_function", "verifier")
# What a page offers: so many folders at most, this deep below an allowed one.
MOST_OFFERED, DEPTH = 200, 3


def sources_check(config: Any) -> None:
    """Raise `ContractError` where a model is to come from a folder, or a function from a module, that nobody
    has allowed."""
    for node in _nodes(config):
        if _is_pretrained(node) and (folder := _folder(node["name"])) is not None:
            _folder_check(node["name"], folder)
        for name in FUNCTIONS:
            if node.get(name):
                _function_check(name, str(node[name]))


def sources_as_inputs(
    config: Mapping[str, Any],
    inputs: Mapping[str, InputRef],
    *,
    anywhere: bool = False,
    beat: Callable[[], None] = nothing,
) -> tuple[dict[str, Any], dict[str, InputRef]]:
    """The order with every local pretrained model as an input, so that its digest is checked and kept.

    A name on a model hub stays what it is. `anywhere` leaves the allowed folders aside: for an operator
    at the terminal, who may read what the server reads. Hashing may take minutes: whoever holds a lease
    calls this first, outside of a transaction, with a `beat`; what it gives is taken as it is then.
    """
    if not anywhere:
        sources_check(config)
    found: dict[str, InputRef] = dict(inputs)
    names: dict[Path, str] = {}
    sources = filter(_is_pretrained, _nodes(config))
    for folder in dict.fromkeys(_folder(source["name"]) for source in sources):
        if folder is not None:
            if not folder.exists():
                raise ContractError(f"The pretrained model {str(folder)!r} is not there.")
            names[folder] = next(n for i in count() if (n := f"pretrained_{i}") not in found)
            found[names[folder]] = InputRef(str(folder), path_sha256(folder, beat=beat))
    return _replaced(dict(config), names), found


def model_folders_found() -> list[Path]:
    """Folders with a config.json in those that an operator has allowed, by path; a page offers them.

    Looks three folders deep and not into models, and stops at 200.
    """
    found: list[Path] = []
    for allowed in settings.OUTERLOOP_MODEL_FOLDERS:
        for folder in _models_below(Path(allowed).resolve(), DEPTH):
            if folder not in found:
                found.append(folder)
            if len(found) == MOST_OFFERED:
                return sorted(found)
    return sorted(found)


def _models_below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    except OSError:  # of others, or gone meanwhile
        return
    if any(each.name == "config.json" for each in inside):
        yield folder
    elif depth:
        for each in inside:
            if each.is_dir() and not each.is_symlink():
                yield from _models_below(each, depth - 1)


def model_folder_named(name: str) -> Path:
    """The folder that a person names as a model, links followed. Raises `ContractError` where nobody has
    allowed it, and `ModelFilesError` where no whole model lies there; both name the folder."""
    folder = _folder(name)
    if folder is None:
        raise ContractError(
            f"{name!r} is no folder: write the full path of one that holds a config.json and safetensors."
        )
    _folder_check(name, folder)
    model_folder_check(folder)
    return folder


def _replaced(node: Any, names: Mapping[Path, str]) -> Any:
    if isinstance(node, dict):
        if _is_pretrained(node) and (folder := _folder(node["name"])) is not None:
            return {**node, "kind": "input", "name": names[folder]}
        return {key: _replaced(value, names) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_replaced(value, names) for value in node]
    return node


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _nodes(value)


def _is_pretrained(node: dict[str, Any]) -> bool:
    return node.get("kind") == "pretrained" and isinstance(node.get("name"), str)


def _folder(name: str) -> Path | None:
    """The local folder that a name means, links followed; None for a name on a model hub.

    A program would look from the checkout, as it is started there. What is written as a path is one,
    whether or not something lies there.
    """
    path = Path(settings.BASE_DIR, name)
    written = name.startswith(("/", ".", "~")) or name.count("/") > 1 or "\\" in name
    return path.resolve() if written or path.exists() else None


def _folder_check(name: str, folder: Path) -> None:
    allowed = [Path(each).resolve() for each in settings.OUTERLOOP_MODEL_FOLDERS]
    if not any(folder.is_relative_to(each) for each in allowed):
        raise ContractError(
            f"The pretrained model {name!r} lies in no allowed folder: put it into one of those that"
            " OUTERLOOP_MODEL_FOLDERS names, or have an operator name its folder there."
        )
    if not folder.is_dir():
        raise ContractError(f"The pretrained model {name!r} is not there.")


def _function_check(setting: str, function: str) -> None:
    module = function.partition(":")[0]
    listed = settings.OUTERLOOP_REWARD_MODULES
    if not any(module == each or module.startswith(f"{each}.") for each in listed):
        raise ContractError(
            f"The {setting} {function!r} lies in no allowed module: have an operator name {module!r}, or a"
            " package that holds it, in OUTERLOOP_REWARD_MODULES."
        )
