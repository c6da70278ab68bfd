"""Who uses which name of the product: read from its sources, so that a door that leads nowhere shows.

Names are matched as they are written, so two things of one name can hide each other; what keeps that
rare is that a facade is looked up through its own imports, and a field in the rooms that may see it.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from django.conf import global_settings

from tests.architecture.packages import PACKAGES, ROOT

# Who else may touch a room's models, as import-linter holds it.
SEEN_BY = {"annotation": ("annotation", "outerloop"), "web": PACKAGES}
LOOKUPS = {"filter", "exclude", "get", "Q", "get_object_or_404", "aggregate", "annotate", "When"}
ALL = 1000
EITHER = {"get_or_create", "update_or_create"}
FILLED_BY_CODE = {
    "annotation.contracts",
    "annotation.comparisons.records",
    "evaluation.contracts.best_of_n",
    "evaluation.contracts.consistency",
    "evaluation.contracts.intervals",
    "evaluation.contracts.measurements",
    "evaluation.contracts.record",
    "evaluation.contracts.reward_matrix",
    "evaluation.gates.records",
    "training.runs.records",
}
# Whose users are programs of others; tests/web/test_client.py, test_client_conversing.py and the tutorial call it.
FOR_OTHERS = {"web.client", "web.client_conversing"}
# Called by Django, Ninja, Celery, Kombu, allauth, httpx, transformers or plutoprint by their names, never by ours.
HOOKS = re.compile(
    r"__\w+__|Meta|Command|\w+Config|handle|add_arguments|clean_\w+|prepare_value|has_changed|process_\w+"
    r"|is_open_for_signup|handler\d+|formatMessage|_(all|any)_stopped|_engine_from_config"
    r"|establish_connection|parse_body|parse_querydict|get_openapi_\w+"
    r"|DatabaseWrapper|get_connection_params|is_custom_code"
    r"|db_for_write|allow_relation|allow_migrate"
    r"|handle_request|do_(GET|POST)|send_error|log_message|handle_one_request|fetch_url"
)


@dataclass(frozen=True)
class Site:
    """A mention of a name: `kind` is read, write, either, or text (in a string); `owners` are the
    definitions around it."""

    name: str
    kind: str
    module: str
    owners: tuple[str, ...]


@dataclass
class Module:
    """`doors` are the uses of facades in it, (package, name); `built` how many places a call fills."""

    name: str
    tree: ast.Module
    sites: list[Site] = field(default_factory=list)
    doors: set[tuple[str, str]] = field(default_factory=set)
    built: dict[str, int] = field(default_factory=dict)

    @property
    def package(self) -> str:
        return self.name.split(".")[0]


class Reader(ast.NodeVisitor):
    """Fills a `Module`; imports and `__all__` are no use, nor is a name inside its own definition."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.owners: tuple[str, ...] = ()
        self.facades: dict[str, str] = {}
        self.forms = module.name.endswith(".forms")

    def note(self, name: str, kind: str) -> None:
        if name not in {owner.rsplit(":")[-1].rsplit(".")[-1] for owner in self.owners}:
            self.module.sites.append(Site(name, kind, self.module.name, self.owners))

    def words(self, text: str, kind: str) -> None:
        for word in set(re.findall(r"[A-Za-z_]\w*", text)):
            for part in {word, *word.split("__")}:
                self.note(part, kind)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        package = (node.module or "").removesuffix(".facade")
        for alias in node.names:
            if alias.asname not in (None, alias.name, "facade"):
                self.note(alias.name, "read")  # from here on it has another name
            if alias.name == "facade":
                self.facades[alias.asname or "facade"] = package
            elif (node.module or "").endswith(".facade"):
                self.module.doors.add((package, alias.name))

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets if self.forms and self.owners else []:
            if isinstance(target, ast.Name) and _is_field(node.value):
                self.note(target.id, "either")  # a form's field shows its model's and fills it
        if not any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            self.note(node.value.attr, "write")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Attribute):
            self.note(node.target.attr, "read")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if node.name == "Meta" and ".models" in self.module.name:
            return  # a constraint or an index is no reader
        self._inside(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._inside(node)

    def _inside(self, node: ast.ClassDef | ast.FunctionDef) -> None:
        for part in node.decorator_list:
            self.visit(part)
        before = self.owners
        above = before[-1] + "." if before else f"{self.module.name}:"
        self.owners = (*before, above + node.name)
        for child in ast.iter_child_nodes(node):
            if child not in node.decorator_list:
                self.visit(child)
        self.owners = before

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.note(node.id, "read")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self.facades:
            self.module.doors.add((self.facades[node.value.id], node.attr))
        self.note(node.attr, "read" if isinstance(node.ctx, ast.Load) else "write")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        self.module.built[called] = max(self.module.built.get(called, 0), len(node.args))
        if called == "record_of":  # fills every field of a record from a row
            self.module.built[ast.unparse(node.args[0])] = ALL
        kind = "read" if called in LOOKUPS else "either" if called in EITHER else "write"
        for keyword in node.keywords:
            if keyword.arg == "update_fields":
                continue
            for part in {keyword.arg or "", *(keyword.arg or "").split("__")}:
                self.note(part, kind)
            self.visit(keyword.value)
        for child in (node.func, *node.args):
            self.visit(child)

    def visit_Dict(self, node: ast.Dict) -> None:
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                self.note(key.value, "write")
            elif key is not None:
                self.visit(key)
            self.visit(value)

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring is no use
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and (" " not in node.value or "SELECT" in node.value):
            self.words(node.value, "either" if self.forms else "text")


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for package in (*PACKAGES, "benchmarks"):  # a measurement is a use; what it defines is its own
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
                module = Module(name.removesuffix(".__init__"), ast.parse(path.read_text()))
                Reader(module).visit(module.tree)
                found.append(module)
    return tuple(found)


@cache
def page_words(package: str) -> frozenset[str]:
    """Every word of a package's templates and scripts that stands in an expression or after a dot."""
    texts = [
        path.read_text()
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".html", ".js"} and path.is_file()
    ]
    return frozenset(word for text in texts for word in re.findall(r"\w+", text))


# ------------------------------------------------------------------ definitions that nobody uses


def definitions() -> Iterator[str]:
    """Functions, classes and methods as "module:Class.name"."""
    for module in modules():
        if module.package in PACKAGES and module.name not in FOR_OTHERS:
            yield from _definitions(module.tree, f"{module.name}:")


def _definitions(node: ast.AST, above: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.ClassDef):
            hook = child.name.startswith("visit_") or HOOKS.fullmatch(child.name)
            if not hook and not _is_operation(child):
                yield above + child.name
            if isinstance(child, ast.ClassDef):
                yield from _definitions(child, f"{above}{child.name}.")


def _is_operation(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """An operation of the programming interface: its router gives it an address, as urls.py does a view."""
    return any(ast.unparse(each).startswith("router.") for each in node.decorator_list)


@cache
def unused() -> frozenset[str]:
    """Definitions that no live code of the product names, in Python or on a page."""
    named = set().union(*(page_words(package) for package in PACKAGES))
    named |= set(re.findall(r"\w+", (ROOT / "pyproject.toml").read_text()))
    everything = [d for d in definitions() if _last(d) not in named]
    dead: set[str] = set()
    while True:
        more = {
            d for d in everything
            if d not in dead and all(dead.intersection(s.owners) for s in _sites_of(_last(d)))
        }  # fmt: skip
        if not more:
            return frozenset(dead)
        dead |= more


def _last(definition: str) -> str:
    return re.split(r"[:.]", definition)[-1]


# --------------------------------------------------------------------------------- facades


def facade_names(package: str) -> set[str]:
    """`__all__` of a package's facade, or what it defines where there is none."""
    tree = next(m.tree for m in modules() if m.name == f"{package}.facade")
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def doors_used(package: str) -> set[str]:
    """The names of a facade that other packages go through."""
    others = (m for m in modules() if m.package != package)
    return {name for module in others for door, name in module.doors if door == package}


# ------------------------------------------------------------------------------ model fields


@dataclass(frozen=True)
class ModelField:
    """A field as its model declares it; `names` are those by which code may speak of it."""

    label: str
    package: str
    names: frozenset[str]
    fills_itself: bool


def model_fields() -> Iterator[ModelField]:
    for module in modules():
        if ".models" not in module.name:
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                for statement in node.body:
                    if isinstance(statement, ast.Assign) and _is_field(statement.value):
                        yield _model_field(module.name, node.name, statement)


def _is_field(value: ast.expr) -> bool:
    called = ast.unparse(value.func).split(".")[-1] if isinstance(value, ast.Call) else ""
    return called.endswith("Field") or called in {"ForeignKey"}


def _model_field(module: str, model: str, statement: ast.Assign) -> ModelField:
    name, call = ast.unparse(statement.targets[0]), statement.value
    assert isinstance(call, ast.Call)
    options = {keyword.arg: keyword.value for keyword in call.keywords}
    related = options.get("related_name")
    names = {name, f"{name}_id"}
    if isinstance(related, ast.Constant) and related.value != "+":
        names.add(str(related.value))
    default = options.get("default")
    fills_itself = {
        "auto_now",
        "auto_now_add",
        "primary_key",
        "expression",
    } & options.keys() != set() or (
        isinstance(default, ast.Attribute)
        and ast.unparse(default) in {"timezone.now", "uuid.uuid4"}
    )
    package = module.split(".")[0]
    return ModelField(f"{module}:{model}.{name}", package, frozenset(names), fills_itself)


def field_uses(found: ModelField, rooms: tuple[str, ...] = ()) -> set[str]:
    """Of "read" and "write", what live code of the rooms that see the model does with the field."""
    rooms = rooms or SEEN_BY.get(found.package, (found.package,))
    kinds = {
        site.kind
        for name in found.names
        for site in _sites_of(name)
        if site.module.split(".")[0] in rooms and not unused().intersection(site.owners)
    }
    if any(found.names & page_words(room) for room in rooms):
        kinds.add("read")
    if found.fills_itself:
        kinds.add("write")
    if "either" in kinds:
        return {"read", "write"}
    return {"read" if kind == "text" else kind for kind in kinds}


@cache
def _index() -> dict[str, list[Site]]:
    index = defaultdict(list)
    for module in modules():
        for site in module.sites:
            index[site.name].append(site)
    return index


def _sites_of(name: str) -> list[Site]:
    return _index().get(name, [])


# --------------------------------------------------------------------------------- settings


def own_settings() -> set[str]:
    """Names that our settings define and that neither Django nor a package of others reads."""
    theirs = re.compile(r"(CELERY|ACCOUNT|SOCIALACCOUNT|ALLAUTH|WHITENOISE)_|ROOT_URLCONF$")
    return {
        site.name
        for module in modules()
        if module.name.startswith("outerloop.settings.")
        for node in module.tree.body
        for site in _assigned(node, module.name)
        if not hasattr(global_settings, site.name) and not theirs.match(site.name)
    }


def _assigned(node: ast.stmt, module: str) -> Iterator[Site]:
    targets = node.targets if isinstance(node, ast.Assign) else []
    for target in targets:
        if isinstance(target, ast.Name) and target.id.isupper():
            yield Site(target.id, "write", module, ())


def settings_read() -> set[str]:
    """Upper-case names that live code reads, of `settings` or where a setting follows from another.

    In the settings themselves a text is the name of the environment variable, and reads nothing.
    """
    return {
        site.name
        for module in modules()
        for site in module.sites
        if site.kind == "read" or not module.name.startswith("outerloop.settings.")
        if site.kind != "write" and site.name.isupper() and not unused().intersection(site.owners)
    }


# ------------------------------------------------------------------------------- contracts


def contract_fields() -> Iterator[tuple[str, set[str]]]:
    """(label, uses) of the fields that a room's code fills for others, as by `field_uses`."""
    for module in modules():
        if module.name in FILLED_BY_CODE:
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef):
                    yield from _contract_fields(module, node)


def _contract_fields(module: Module, node: ast.ClassDef) -> Iterator[tuple[str, set[str]]]:
    places = max(m.built.get(node.name, 0) for m in modules())
    fields = [
        ast.unparse(statement.target)
        for statement in node.body
        if isinstance(statement, ast.AnnAssign) and "ClassVar" not in ast.unparse(statement)
    ]
    for place, name in enumerate(fields):
        found = ModelField("", module.package, frozenset({name}), fills_itself=place < places)
        rooms = PACKAGES[: PACKAGES.index(module.package) + 1]
        yield f"{module.name}:{node.name}.{name}", field_uses(found, rooms)
