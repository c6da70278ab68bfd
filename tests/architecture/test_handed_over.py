"""Every option of a command is looked at, and every variable of a template is read."""

from __future__ import annotations

import ast

import pytest

from tests.architecture import doors, handed_over

COMMAND = """
class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("path")
        parser.add_argument("-n", "--dry-run", action="store_true")
        parser.add_argument("--since", dest="from_day")
        parser.add_argument("--loud", action="store_true")
    def handle(self, path, **options):
        print(path, options["dry_run"], options["from_day"])
"""
VIEWS = """
def thing(request):
    context = {"thing": 1, "forgotten": 2, **more(), **{"old": 3}}
    return render(request, "t/thing.html", context)
def list_(request):
    form = Form(initial={"version": 1})
    return render(request, "t/list.html", {"rows": [], "thing": form} | {"late": 1})
def part_context(row):
    return {"thing": row, "nowhere": 1}
"""
TEMPLATES = {
    "t/thing.html": '{% include "t/part.html" %}{# forgotten #} old {{ "old" }}',
    "t/part.html": "{{ thing.name|default:'forgotten' }}",
    "t/list.html": "{% for row in rows %}{{ row }}{% endfor %}",
}


def test_every_option_is_looked_at() -> None:
    assert handed_over.options_unread() == set()


def test_every_variable_of_a_template_is_read() -> None:
    assert handed_over.variables_unread() == set()


def test_the_search_sees_the_commands_and_the_pages() -> None:
    trees = {module.name: module.tree for module in doors.modules()}
    demo = trees["outerloop.demo.management.commands.demo"]
    assert handed_over._options(demo) >= {"seed", "no_serve", "adapter"}
    assert handed_over.words_read("rounds/line.html") >= {"line"}
    views = trees["annotation.campaigns.views"]
    given = {
        name
        for function in ast.walk(views)
        if isinstance(function, ast.FunctionDef)
        for names, _ in handed_over._given(function)
        for name in names
    }
    assert given >= {"rows", "form", "campaign"}


def test_what_nobody_reads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tuple(
        doors.Module(name, ast.parse(text)) for name, text in (("t.cmd", COMMAND), ("t.v", VIEWS))
    )
    monkeypatch.setattr(doors, "modules", lambda: made)
    monkeypatch.setattr(handed_over, "templates", lambda: TEMPLATES)
    assert handed_over.options_unread() == {"t.cmd:loud"}
    assert handed_over.variables_unread() == {
        "t.v:thing.forgotten",
        "t.v:thing.old",
        "t.v:list_.thing",
        "t.v:list_.late",
        "t.v:part_context.nowhere",
    }
