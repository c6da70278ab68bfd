"""What a recipe leaves, without learning anything: `python -m tests.outerloop.selftest.a_program SPEC`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from training.contracts import RunManifest, RunSpec


def main(path: Path) -> int:
    spec = RunSpec.from_json(json.loads(path.read_text()))
    started = path.parent / "started"
    started.write_text(started.read_text() + "x" if started.exists() else "x")
    if spec.seed == 13:
        error = {"kind": "user", "message": "Seed 13 is unlucky.", "exit_code": 2}
        (path.parent / "error.json").write_text(json.dumps(error))
        return 2
    manifest = RunManifest(
        spec.run_id, spec.kind, spec.sha256(), (), {"seed": spec.seed}, {}, 1.0, 1.0
    )
    (path.parent / "manifest.json").write_text(json.dumps(manifest.to_json()))
    print("said on standard output, which is no answer")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
