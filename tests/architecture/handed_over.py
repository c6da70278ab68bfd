"""What is handed over at the edges: options to commands and programs, variables to templates.

Read from the sources, like `tests.architecture.doors`. A variable counts as read by any expression of the
template it is given to or of what this includes or extends; where a function only makes the variables, by any
template. An option counts as read where its name stands in its own module outside the line that declares it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.architecture import doors
from tests.architecture.packages import PACKAGES, ROOT

DRAW = {"render": 1, "render_to_string": 0}
"""The place of the template among the arguments; the variables come next."""

EXPRESSION = re.compile(r"\{\{(.*?)\}\}|\{%(.*?)%\}", re.S)
TEXT = re.compile(r"\"[^\"]*\"|'[^']*'")


# ---------------------------------------------------------------------------------- options


def options_unread() -> set[str]:
    """Options of commands and programs as "module:name" whose value nobody looks at."""
    return {
        f"{module.name}:{name}"
        for module in doors.modules()
        for name in _options(module.tree) - _looked_at(module.tree)
    }


def _options(tree: ast.AST) -> set[str]:
    return {_option(node) for node in ast.walk(tree) if _called(node) == "add_argument"}


def _option(call: ast.AST) -> str:
    """The name under which argparse keeps it: `dest`, or the long option, or the only one."""
    assert isinstance(call, ast.Call)
    for keyword in call.keywords:
        if keyword.arg == "dest":
            return str(ast.literal_eval(keyword.value))
    names = [str(ast.literal_eval(name)) for name in call.args]
    name = next((name for name in names if name.startswith("--")), names[0])
    return name.lstrip("-").replace("-", "_")


def _looked_at(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=ast.Constant(value=name)):
                found.add(str(name))
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found.add(name)
    return found


def _called(node: ast.AST) -> str:
    if not isinstance(node, ast.Call):
        return ""
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


# -------------------------------------------------------------------------------- variables


@cache
def templates() -> dict[str, str]:
    """Template name -> text."""
    return {
        path.as_posix().rpartition("/templates/")[2]: path.read_text()
        for package in PACKAGES
        for path in (ROOT / package).rglob("templates/**/*.html")
    }


def words_read(*names: str) -> set[str]:
    """Words in the expressions of templates and of all that they name; of every template without a name."""
    seen, waiting, found = set[str](), list(names or templates()), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in templates():
            continue
        seen.add(name)
        named, words = _expressions(templates()[name])
        waiting += named
        found |= words
    return found


@cache
def _expressions(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """(names of other templates, other words) in the expressions of a template."""
    inside = [match[1] or match[2] for match in EXPRESSION.finditer(text)]
    named = {name for text in inside for name in re.findall(r"[\"']([\w/.-]+\.html)[\"']", text)}
    words = {word for text in inside for word in re.findall(r"\w+", TEXT.sub("", text))}
    return frozenset(named), frozenset(words)


def variables_unread() -> set[str]:
    """Variables as "module:function.name" that the template, or every template, leaves alone."""
    return {
        f"{module.name}:{function.name}.{name}"
        for module in doors.modules()
        for function in ast.walk(module.tree)
        if isinstance(function, ast.FunctionDef)
        for given, read in _given(function)
        for name in given - read
    }


def _given(function: ast.FunctionDef) -> Iterator[tuple[set[str], set[str]]]:
    """(names of variables, words read) of every dictionary that goes to a template from here."""
    inside = list(ast.walk(function))
    drawn = [node for node in inside if _called(node) in DRAW]
    named = [t.value for t in map(_template, drawn) if isinstance(t, ast.Constant)]
    keys = [_keys(value) for node in inside for value in _dictionaries(node, function, drawn)]
    if keys:
        read = words_read(*map(str, named))
        yield from ((names, read) for names in keys)


def _dictionaries(
    node: ast.AST, function: ast.FunctionDef, drawn: list[ast.AST]
) -> list[ast.expr | None]:
    """What a node hands to a template: itself, by the name `context`, or by a function that makes it."""
    if isinstance(node, ast.Call) and node in drawn:
        return list(node.args[DRAW[_called(node)] + 1 :])
    by_name = drawn and isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "context"
    made = isinstance(node, ast.Return) and function.name.endswith("_context")
    return [node.value] if by_name or made else []  # type: ignore[attr-defined]


def _template(call: ast.AST) -> ast.expr | None:
    assert isinstance(call, ast.Call)
    return call.args[DRAW[_called(call)]] if len(call.args) > DRAW[_called(call)] else None


def _keys(value: ast.expr | None) -> set[str]:
    """Keys of a literal dictionary, also of one joined with others by | or **."""
    if isinstance(value, ast.BinOp):
        return _keys(value.left) | _keys(value.right)
    if not isinstance(value, ast.Dict):
        return set()
    own = {str(key.value) for key in value.keys if isinstance(key, ast.Constant)}
    joined = (part for key, part in zip(value.keys, value.values, strict=True) if key is None)
    return own.union(*map(_keys, joined))
