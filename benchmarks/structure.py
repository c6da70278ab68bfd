"""How the house is built: lines, arrows between the rooms of the learning core, lines that only move data.

    python -m benchmarks.structure [CHECKOUT]

A line only moves data when all that it holds is the declaration of a record's field, or a keyword
argument, dictionary entry or assignment whose value is a bare name, an attribute or a subscript by a
constant. Migrations, tests and benchmarks are not counted.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("outerloop", "evaluation", "training", "annotation", "web")
TEXTS = {".py", ".html", ".css", ".js"}


def sources(root: Path, endings: set[str]) -> list[Path]:
    """Every source file of the product, migrations left out, in order."""
    found = (path for package in PACKAGES for path in (root / package).rglob("*"))
    return sorted(p for p in found if p.suffix in endings and "migrations" not in p.parts)


def is_plain(node: ast.expr | None) -> bool:
    """A name, an attribute or constant subscript of one: read from here, put there."""
    if isinstance(node, ast.Attribute):
        return is_plain(node.value)
    if isinstance(node, ast.Subscript):
        return isinstance(node.slice, ast.Constant) and is_plain(node.value)
    return isinstance(node, ast.Name)


def is_record(node: ast.AST) -> bool:
    if not isinstance(node, ast.ClassDef):
        return False
    marks = [*node.bases, *node.decorator_list]
    return any(
        "dataclass" in ast.unparse(mark) or "NamedTuple" in ast.unparse(mark) for mark in marks
    )


def moved(tree: ast.AST) -> Iterator[tuple[int, int]]:
    """(first, last) lines of every piece that only moves data."""
    for node in ast.walk(tree):
        if is_record(node):
            assert isinstance(node, ast.ClassDef)
            yield from (
                (f.lineno, f.end_lineno or 0) for f in node.body if isinstance(f, ast.AnnAssign)
            )
        elif isinstance(node, ast.Call):
            yield from ((k.lineno, k.end_lineno or 0) for k in node.keywords if is_plain(k.value))
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from ((k.lineno, v.end_lineno or 0) for k, v in pairs if k and is_plain(v))
        elif isinstance(node, ast.Assign) and is_plain(node.value):
            yield node.lineno, node.end_lineno or 0


def moving_lines(text: str) -> int:
    """Lines of which nothing is left when the pieces that move data are taken out."""
    tree = ast.parse(text)
    lines = text.splitlines()
    statements = {
        node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assign | ast.AnnAssign)
    }
    count = set()
    for first, last in moved(tree):
        for number in range(first, last + 1):
            alone = (
                lines[number - 1].strip().endswith(",")
                and "(" not in lines[number - 1].split("=")[0]
            )
            if number in statements or alone:
                count.add(number)
    return len(count)


def code_lines(text: str) -> int:
    """Lines that are neither blank nor a comment alone nor part of a docstring."""
    tree = ast.parse(text)
    inside: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                inside |= set(range(node.lineno, (node.end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(
        1
        for n, line in lines
        if n not in inside and line.strip() and not line.strip().startswith("#")
    )


def arrows(root: Path, package: str) -> tuple[int, int, int, int]:
    """(modules, arrows between modules, rooms, arrows between rooms) inside `package`."""
    folder = root / package.replace(".", "/")
    modules = {_name(root, path): path for path in folder.rglob("*.py")}
    drawn = {
        (name, target)
        for name, path in modules.items()
        for target in _imported(name, path, modules)
        if target != name
    }
    depth = package.count(".") + 2

    def room(name: str) -> str:
        return ".".join(name.split(".")[:depth])

    between = {(room(a), room(b)) for a, b in drawn if room(a) != room(b)}
    rooms = {room(name) for name in modules} - {package}
    return len(modules), len(drawn), len(rooms), len(between)


def _name(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imported(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            wanted = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in wanted:
            while target and target not in modules:
                target = target.rpartition(".")[0]
            if target:
                yield target


def main() -> None:
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    texts = [path.read_text() for path in sources(root, {".py"})]
    total = sum(text.count("\n") for text in texts)
    code = sum(code_lines(text) for text in texts)
    moving = sum(moving_lines(text) for text in texts)
    other = sum(path.read_text().count("\n") for path in sources(root, TEXTS - {".py"}))
    print(f"Python {total} lines, of them {code} code; templates, styles and scripts {other}")
    print(f"lines that only move data: {moving}, {moving / code:.1%} of the code")
    for package in ("training.core", "outerloop.rounds", "evaluation.gates"):
        modules, drawn, rooms, between = arrows(root, package)
        print(
            f"{package}: {modules} modules, {drawn} arrows; {rooms} rooms, {between} arrows between them"
        )


if __name__ == "__main__":
    main()
