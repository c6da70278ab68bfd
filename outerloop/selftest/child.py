"""The learning process of the self-test: carries out orders one after another in one interpreter.

    python -m outerloop.selftest.child

reads a line "MODULE PATH/spec.json" at a time and answers with the recipe's exit status, as if
`python -m MODULE PATH/spec.json` had been typed; the libraries are loaded once. What the recipes print goes
to standard error. It ends at once when standard input closes: nobody is waiting any more.
"""

from __future__ import annotations

import os
import queue
import runpy
import sys
import threading


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    while True:
        module, spec = orders.get().split(" ", 1)
        print(_carry_out(module, spec), file=answers)


def _listen(orders: queue.Queue[str]) -> None:
    for line in sys.stdin:
        orders.put(line.rstrip("\n"))
    os._exit(0)


def _carry_out(module: str, spec: str) -> int:
    sys.argv = [module, spec]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    return 0


if __name__ == "__main__":
    main()
