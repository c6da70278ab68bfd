"""A small stand-in for lm-evaluation-harness: what Outerloop calls of it, for YAML tasks over JSON lines.

`benchmarks/lm_eval_suite.py` holds it against the real library, on the same tasks and models.
"""

from __future__ import annotations

import hashlib
import json
import random


def simple_evaluate(
    *,
    model,
    tasks,
    task_manager,
    limit,
    bootstrap_iters,
    log_samples,
    apply_chat_template,
    fewshot_as_multiturn,
    random_seed,
    numpy_random_seed,
    torch_random_seed,
    fewshot_random_seed,
):
    assert log_samples
    assert bootstrap_iters == 0
    random.seed(random_seed)
    found = {"results": {}, "samples": {}}
    for task in tasks:
        docs = task.docs[:limit]
        requests = [task.requests(doc, model if apply_chat_template else None) for doc in docs]
        ask = getattr(model, requests[0][0].request_type)
        replies = iter(ask([request for rows in requests for request in rows]))
        samples = [
            _sample(i, task, doc, rows, [next(replies) for _ in rows])
            for i, (doc, rows) in enumerate(zip(docs, requests, strict=True))
        ]
        found["samples"][task.task_name] = samples
        found["results"][task.task_name] = {
            f"{name},none": aggregate([sample[name] for sample in samples])
            for name, aggregate in task.aggregation().items()
        }
    return found


def _sample(number, task, doc, rows, replies):
    metrics = task.process_results(doc, replies)
    target = task.doc_to_target(doc)
    return {
        "doc_id": number,
        "doc": doc,
        "target": target,
        "arguments": [request.args for request in rows],
        "resps": [[reply] for reply in replies],
        "filter": "none",
        "metrics": list(metrics),
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "target_hash": _hash(str(target)),
        **metrics,
    }


def _hash(text):
    return hashlib.sha256(text.encode()).hexdigest()


__all__ = ["simple_evaluate"]
