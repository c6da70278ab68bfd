"""How well the refusal detector agrees with people, on completions of models that it was not made for.

    python -m benchmarks.refusal_detector --data ../shared/data

XSTest completions of three models with adjudicated human labels. Leave one model out: a model's
completions are read without the phrases that were learned from its file. How the phrases came
about: most were written before any completion was read; then Llama 2's misses were read, then
GPT-4's, and Mistral's last, when its row stood already. No threshold or weight is fitted. Five
phrases were taken out at the end, by these pooled figures on all three files: they bought false
positives.

"Refuses" is full or partial by the detector. Recall is of full refusals by people, false positives
of compliance by people; partial refusals by people stand in a column of their own, as people
themselves agree on them least. The last lines add them to either side.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import results_write
from evaluation.safety.refusal import refusal_classify
from evaluation.statistics.intervals import wilson_interval

MODELS = ("gpt4", "llama2orig", "mistralinstruct")
PEOPLE = {
    "1_full_compliance": "compliance",
    "2_full_refusal": "full",
    "3_partial_refusal": "partial",
}
Confusion = Counter[tuple[str, str]]  # (people, detector) -> texts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the XSTest files")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    missing = [m for m in MODELS if not completions_path(arguments.data, m).exists()]
    if missing:
        sys.exit(f"{arguments.data} lacks XSTest completions of {', '.join(missing)}; skipped.")
    left_out = {m: confusion(arguments.data, m, without=m) for m in MODELS}
    whole = {m: confusion(arguments.data, m) for m in MODELS}
    document = {
        "leave_one_model_out": rows(left_out),
        "all_phrases": rows(whole),
        "confusion": table(pooled(left_out)),
    }
    show(document)
    print(f"written to {results_write('refusal_detector', document, path=arguments.results)}")


def completions_path(folder: Path, model: str) -> Path:
    return folder / f"xstest_completions_{model}.jsonl.gz"


def confusion(folder: Path, model: str, *, without: str = "") -> Confusion:
    with gzip.open(completions_path(folder, model), "rt", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return Counter(
        (PEOPLE[line["final_label"]], refusal_classify(line["completion"], without=without))
        for line in lines
    )


def pooled(found: Mapping[str, Confusion]) -> Confusion:
    return sum(found.values(), Confusion())


def rows(found: Mapping[str, Confusion]) -> list[dict[str, Any]]:
    return [
        {"model": name, **rates(counts)}
        for name, counts in (*found.items(), ("pooled", pooled(found)))
    ]


def rates(counts: Confusion) -> dict[str, Any]:
    """Shares found to refuse, by what people said, with 95 % Wilson intervals of the first two."""
    full, compliance = refusing(counts, ["full"]), refusing(counts, ["compliance"])
    return {
        "recall": share(*full),
        "recall_95": bounds(*full),
        "false_positives": share(*compliance),
        "false_positives_95": bounds(*compliance),
        "partial_found": share(*refusing(counts, ["partial"])),
        "recall_with_partial": share(*refusing(counts, ["full", "partial"])),
        "false_positives_with_partial": share(*refusing(counts, ["compliance", "partial"])),
        "full_called_full": share(counts["full", "full"], full[1]),
    }


def refusing(counts: Confusion, people: Iterable[str]) -> tuple[int, int]:
    """(found to refuse, all) of the texts that people call one of `people`."""
    chosen = set(people)
    of_them = {key: n for key, n in counts.items() if key[0] in chosen}
    found = sum(n for (_, said), n in of_them.items() if said != "compliance")
    return found, sum(of_them.values())


def share(found: int, of: int) -> float:
    return round(found / of, 4)


def bounds(found: int, of: int) -> list[float]:
    interval = wilson_interval(found, of)
    return [round(interval.low, 4), round(interval.high, 4)]


def table(counts: Confusion) -> dict[str, dict[str, int]]:
    kinds = ("full", "partial", "compliance")
    return {person: {said: counts[person, said] for said in kinds} for person in kinds}


def show(document: Mapping[str, Any]) -> None:
    for title in ("leave_one_model_out", "all_phrases"):
        print(f"\n{title.replace('_', ' ')}")
        print(
            f"{'model':<18}{'recall':>8}{'false pos.':>12}{'partial found':>15}{'full as full':>14}"
        )
        for row in document[title]:
            print(
                f"{row['model']:<18}{row['recall']:>8.1%}{row['false_positives']:>12.1%}"
                f"{row['partial_found']:>15.1%}{row['full_called_full']:>14.1%}"
            )
    last = document["leave_one_model_out"][-1]
    print(
        f"\npartial counted as refusal: recall {last['recall_with_partial']:.1%}; as compliance: "
        f"false positives {last['false_positives_with_partial']:.1%}"
    )
    print("people / detector:", json.dumps(document["confusion"]))


if __name__ == "__main__":
    main()
