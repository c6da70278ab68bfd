"""Command lines one after another, each in a process forked from one that has loaded the site.

`python -m tests.support.commands_in_turn`: a JSON list of argument lists on the standard input, those of
`manage.py` or, from `-m celery` on, of celery; a JSON list of `[exit code, what was said]` comes back.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import tempfile

import django


def said_by(arguments: list[str]) -> tuple[int, str]:
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            _carry_out(arguments)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode()


def _carry_out(arguments: list[str]) -> None:
    """Never comes back: the process ends as the command does, with its buffers written."""
    code: object = 1
    try:
        if arguments[:2] == ["-m", "celery"]:
            sys.argv = ["celery", *arguments[2:]]
            runpy.run_module("celery", run_name="__main__", alter_sys=True)
        else:
            sys.argv = ["manage.py", *arguments]
            runpy.run_path("manage.py", run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    if isinstance(code, str):
        print(code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    django.setup()
    import outerloop.celery
    import outerloop.urls  # noqa: F401

    commands = json.load(sys.stdin)
    print(json.dumps([said_by(command) for command in commands]))
