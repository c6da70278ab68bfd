"""A function that checks completions, in a process of its own: it may hang, swallow memory or die.

    python -m training.core.rollout.verifying package.module:function MEGABYTES

is that process. It reads a JSON line {"messages", "text"} and answers with one: {"value"}, or {"error"}.
What the function prints goes to standard error. The limit on memory is what it may take beyond what
importing the function took; on other systems than Linux there is none.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.core.run.errors import UserError

__all__ = ["Verifier"]

STARTING = 60.0
"""Seconds for the process to import the function."""
MEGABYTE = 1 << 20


@dataclass
class Verifier:
    """Asks the function about one completion at a time, `seconds` for each, `megabytes` for all.

    A completion on which it fails, by an exception or by a limit, is verified as None: what a policy writes
    may be meant to break it. The process is started again for the next one where it did not survive.
    """

    function: str
    seconds: float
    megabytes: int
    failure: str = ""  # why it last failed
    _child: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __call__(self, messages: Sequence[Mapping[str, str]], text: str) -> float | None:
        """The function's finite number, or None. Raises `UserError` where it cannot be imported."""
        child = self._running()
        asked = {"messages": [dict(message) for message in messages], "text": text}
        answer = _exchange(child, asked, self.seconds)
        if answer is None:
            self.close()
            self.failure = f"no answer within {self.seconds:g} seconds, or its process ended"
            return None
        value = answer.get("value")
        if isinstance(value, float) and math.isfinite(value):
            return value
        self.failure = answer.get("error", f"it gave {value}")
        return None

    def check(self) -> None:
        """Raise `UserError` where it fails on an ordinary text, before compute is spent."""
        if self([{"role": "user", "content": "Is it so?"}], "Yes.") is None:
            self.close()
            raise UserError(
                f"verifier {self.function!r} fails on the text 'Yes.' ({self.failure}); let it return a "
                "finite number for any text, or raise its limits."
            )

    def close(self) -> None:
        """End the process, and what it started."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGKILL)
            self._child.communicate()
            self._child = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None:
            return self._child
        command = [sys.executable, "-m", __name__, self.function, str(self.megabytes)]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        ready = _exchange(self._child, None, STARTING)
        if ready is None or "error" in ready:
            self.close()
            reason = "it did not start" if ready is None else ready["error"]
            raise UserError(
                f"verifier {self.function!r} cannot be imported ({reason}); write it as "
                "'package.module:function'."
            )
        return self._child


def _exchange(
    child: subprocess.Popen[bytes], asked: Mapping[str, Any] | None, seconds: float
) -> dict[str, Any] | None:
    """Send a line, if any, and read one; None where none came in time, or the process is gone."""
    assert child.stdin is not None
    assert child.stdout is not None
    if asked is not None:
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(json.dumps(asked).encode() + b"\n")
            child.stdin.flush()
    if not select.select([child.stdout], [], [], seconds)[0]:
        return None
    line = child.stdout.readline()
    return dict(json.loads(line)) if line.endswith(b"\n") else None


# ------------------------------------------------------------------------------- the child


def main(function: str, megabytes: str) -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        verify = _imported(function)
    except (ImportError, AttributeError, ValueError) as error:
        print(json.dumps({"error": str(error)}), file=answers)
        return
    _memory_limit(int(megabytes))
    print(json.dumps({}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_answer(verify, json.loads(line))), file=answers)


def _imported(function: str) -> Callable[..., Any]:
    module, _, name = function.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _answer(verify: Callable[..., Any], asked: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": float(verify(asked["messages"], asked["text"]))}
    except Exception as error:  # whatever a function of somebody else raises
        return {"error": f"{type(error).__name__}: {error}"}


def _memory_limit(megabytes: int) -> None:
    sizes = Path("/proc/self/statm")
    if sizes.exists():
        taken = int(sizes.read_text().split()[0]) * resource.getpagesize()
        limit = taken + megabytes * MEGABYTE
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    main(*sys.argv[1:])
