"""What is tried with a family: the checks and the recipes, each with an independent look at what it gave.

An outcome is "works", "refused" (in a sentence, before any training step), "late" (refused after one),
"wrong" (it said that it worked, and its numbers say otherwise) or "crash".
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any
from unittest import mock

from torch import Tensor

from benchmarks.architecture_models import (
    TEXTS,
    padless_write,
    plain_load,
    plain_logits,
    weights_tied,
)
from benchmarks.architecture_numbers import (
    TOLERANCE,
    Rows,
    apart,
    policy_numbers,
    probe_rows,
    reload_numbers,
    reward_numbers,
    scores_of,
)
from training.contracts import (
    EXIT_USER,
    AdapterConfig,
    DpoConfig,
    InputRef,
    JsonContract,
    MeasureConfig,
    ModelSource,
    PpoConfig,
    RewardModelConfig,
    RunSpec,
    Sampling,
    SftConfig,
    SftPhase,
)
from training.core.model.loading import (
    LoadedModel,
    classifier_load,
    classifier_load_path,
    model_save,
    policy_load_path,
)
from training.core.model.lora import adapter_merge
from training.core.reward.members import member_write
from training.core.run.run_directory import recipe_main
from training.digests import path_sha256
from training.recipes import check_model, dpo, ppo, reward_model, sft

__all__ = ["STEPS", "Outcome", "step_try"]

LENGTH = 64
LORA = AdapterConfig(kind="lora", rank=2, alpha=4.0)
SAMPLING = Sampling(max_new_tokens=5, batch_size=4)


@dataclass(frozen=True)
class Outcome:
    state: str
    why: str = ""
    seconds: float = 0.0


class TooSlow(Exception):
    """A step took more processor time than it may."""


def step_try(step: str, folder: Path, *, limit: int) -> Outcome:
    """Carry a step out on `folder`/model, with at most `limit` seconds of processor time."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise TooSlow(f"it takes more than {limit} s of processor time")

    signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit)
    began = time.monotonic()
    try:
        outcome = STEPS[step](folder)
    except BaseException as error:  # whatever it is, the row says so
        traceback.print_exc()
        outcome = Outcome("crash", crash_sentence(error))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return replace(outcome, seconds=round(time.monotonic() - began, 1))


def crash_sentence(error: BaseException) -> str:
    """The error, and the innermost line that it came from."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {said} ({Path(place.filename).name}:{place.lineno})"


def _judged(wrong: str) -> Outcome:
    return Outcome("wrong", wrong) if wrong else Outcome("works")


# ------------------------------------------------------------------------------ checks


def _checked(path: Path, numbers: Callable[[Path], str], *options: str) -> Outcome:
    """What check_model says; where it finds nothing, what the numbers say."""
    heard = io.StringIO()
    with contextlib.redirect_stdout(heard):
        code = check_model.main([str(path), "--length", str(LENGTH), *options])
    print(heard.getvalue())
    bad = [line for line in heard.getvalue().splitlines() if line.startswith("BAD")]
    if code == 2 and bad:
        said = " ".join(line.partition(": ")[2] for line in bad)
        return Outcome("refused", said.replace(str(path), "it"))
    return _judged(numbers(path))


def _policy(folder: Path) -> Outcome:
    return _checked(folder / "model", lambda _: _model_numbers(folder))


def _model_numbers(folder: Path) -> str:
    """`policy_numbers` of the family, worked out once."""
    kept = folder / "numbers.txt"
    if not kept.exists():
        kept.write_text(policy_numbers(folder / "model"))
    return kept.read_text()


def _reward(folder: Path) -> Outcome:
    return _checked(folder / "model", _head_numbers, "--reward-model")


def _head_numbers(path: Path) -> str:
    return reward_numbers(classifier_load(ModelSource(kind="pretrained", name=str(path)), {}))


def _padless(folder: Path) -> Outcome:
    """The policy without a padding token: a row is added, and it stays after saving."""
    path = folder / "padless"
    padless_write(folder / "model", path)
    return _checked(path, _saved_again)


def _saved_again(path: Path) -> str:
    loaded, rows = policy_load_path(path), probe_rows(100, (21, 7))
    before = plain_logits(loaded.model, rows)
    model_save(loaded, path.parent / "saved")
    tied = weights_tied(plain_load(path))
    return reload_numbers(path.parent / "saved", rows, before, tied=tied)


# ----------------------------------------------------------------------------- recipes


def _lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _data(folder: Path) -> dict[str, Path]:
    """Prompts, demonstrations and pairs of the same few questions."""
    asked = [[{"role": "user", "content": text}] for text in TEXTS[::2]]
    said = [{"role": "assistant", "content": text} for text in TEXTS[1::2]]
    prompts = [{"id": f"p{i}", "messages": asked[i % 3], "group": f"g{i}"} for i in range(4)]
    shown = [{"messages": [*asked[i % 3], said[i % 3]]} for i in range(4)]
    splits = ("train", "train", "train", "validation", "test")
    pairs = [
        {
            "id": f"c{i}", "group": f"g{i}", "messages": asked[i % 3], "split": splits[i % 5],
            "completions": ["Yes.", TEXTS[1]][:: 1 if i % 2 else -1], "preference": float(i % 2),
        }
        for i in range(20)
    ]  # fmt: skip
    return {
        "prompts": _lines(folder / "prompts.jsonl", prompts),
        "demonstrations": _lines(folder / "demonstrations.jsonl", shown),
        "preferences": _lines(folder / "preferences.jsonl", pairs),
    }


def _ordered(
    kind: Any, folder: Path, name: str, inputs: Mapping[str, Path], config: JsonContract
) -> Path:
    """A run directory with its spec."""
    directory = folder / name
    directory.mkdir()
    used = {role: InputRef(str(path), path_sha256(path)) for role, path in inputs.items()}
    order = RunSpec("architectures", kind, 7, used, config.to_json())
    (directory / "spec.json").write_text(json.dumps(order.to_json()))
    return directory / "spec.json"


def _refusal(spec: Path, code: int) -> Outcome:
    """Why a recipe ended without its artifacts, and whether that was before it trained."""
    error = json.loads((spec.parent / "error.json").read_text())
    said = " ".join(str(error["message"]).replace(str(spec.parent.parent / "model"), "it").split())
    if code != EXIT_USER:
        return Outcome("crash", said[:300])
    events = [json.loads(line) for line in (spec.parent / "events.jsonl").read_text().splitlines()]
    begun = [e for e in events if e["phase"].startswith(("train", "ppo", "dpo"))]
    return Outcome("late" if begun else "refused", said)


@contextlib.contextmanager
def _policies_seen(rows: Rows) -> Iterator[list[list[Tensor]]]:
    """Plain logits of a policy as it is merged and as it is saved."""
    seen: list[list[Tensor]] = []

    def saving(loaded: LoadedModel, *rest: Any) -> None:
        seen.append(plain_logits(loaded.model, rows))
        model_save(loaded, *rest)

    def merging(model: Any) -> None:
        seen.append(plain_logits(model, rows))
        adapter_merge(model)

    with (
        mock.patch("training.core.model.policy_artifact.model_save", saving),
        mock.patch("training.core.model.policy_artifact.adapter_merge", merging),
    ):
        yield seen


def _policy_trained(folder: Path, spec: Path, carry_out: Callable[[list[str]], int]) -> Outcome:
    """Run a recipe; what it wrote is what it had in memory, trained, and tied as before."""
    rows = probe_rows(100, (21, 7))
    with _policies_seen(rows) as seen:
        code = carry_out([str(spec)])
    if code:
        return _refusal(spec, code)
    if wrong := _model_numbers(folder):
        return Outcome("wrong", wrong)
    base = plain_load(folder / "model")
    merged = max(apart(a, b) for a, b in zip(seen[0], seen[-1], strict=True))
    if not merged <= TOLERANCE:
        return Outcome("wrong", f"merging the adapter moves logits by {merged:.2g}")
    if max(apart(a, b) for a, b in zip(plain_logits(base, rows), seen[-1], strict=True)) == 0:
        return Outcome("wrong", "training changed nothing")
    policy = spec.parent / "policy"
    return _judged(reload_numbers(policy, rows, seen[-1], tied=weights_tied(base)))


def _sft(folder: Path, adapter: AdapterConfig, name: str) -> Outcome:
    inputs = {"policy": folder / "model", "demonstrations": _data(folder)["demonstrations"]}
    config = SftConfig(
        model=ModelSource(kind="input", name="policy"),
        phases=(SftPhase("demonstrations", 2, 1e-2, batch_size=2, warmup_steps=0),),
        max_length=LENGTH,
        adapter=adapter,
        gradient_checkpointing=False,
        log_every=1,
    )
    spec = _ordered("sft", folder, name, inputs, config)
    return _policy_trained(folder, spec, lambda a: recipe_main(sft.main, "sft", SftConfig, a))


def _dpo(folder: Path, adapter: AdapterConfig, name: str) -> Outcome:
    data = _data(folder)
    inputs = dict.fromkeys(("policy", "reference"), folder / "model")
    inputs |= {role: data[role] for role in ("prompts", "preferences")}
    measure = MeasureConfig(points=1, prompts=3, sampling=SAMPLING, exact_kl_rollouts=1)
    config = DpoConfig(
        measure=measure, max_length=LENGTH, learning_rate=1e-2, batch_size=8, epochs=1,
        warmup_share=0.0, log_every=1, adapter=adapter,
    )  # fmt: skip
    spec = _ordered("dpo", folder, name, inputs, config)
    return _policy_trained(folder, spec, dpo.main)


def _ppo(folder: Path, adapter: AdapterConfig, name: str) -> Outcome:
    """With an adapter against the family's own reward model, where the step before made one."""
    inputs = dict.fromkeys(("policy", "reference"), folder / "model")
    inputs["prompts"] = _data(folder)["prompts"]
    own = folder / "reward_run" / "reward_model"
    judged = adapter.kind != "none" and own.exists()
    if judged:
        inputs["reward_model"] = own
    config = PpoConfig(
        updates=2, prompts_per_update=4, mini_batches=1, epochs=1, micro_batch_size=4,
        policy_learning_rate=1e-3, warmup_updates=0, exact_kl_rollouts=1, sampling=SAMPLING,
        adapter=adapter, reward_function="" if judged else f"{__name__}:vowels",
    )  # fmt: skip
    return _policy_trained(folder, _ordered("ppo", folder, name, inputs, config), ppo.main)


def vowels(_messages: list[dict[str, str]], text: str) -> float:
    """A scripted reward that random texts meet."""
    return sum(letter in "aeiou" for letter in text) / 10


def _reward_model(folder: Path) -> Outcome:
    """Train one member and a held-out one; each scores from its files as it did in memory."""
    inputs = {"preferences": _data(folder)["preferences"], "backbone": folder / "model"}
    config = RewardModelConfig(
        backbone=ModelSource(kind="input", name="backbone"), members=1, epochs=1, batch_size=8,
        learning_rate=1e-2, max_length=LENGTH, log_every=1,
    )  # fmt: skip
    spec = _ordered("reward_model", folder, "reward_run", inputs, config)
    rows, seen = probe_rows(100, (21, 7, 40)), dict[str, Tensor]()

    def writing(path: Path, loaded: LoadedModel, *rest: Any) -> None:
        seen[path.name] = scores_of(loaded, rows)
        member_write(path, loaded, *rest)

    with mock.patch("training.recipes.reward_member.member_write", writing):
        code = recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(spec)])
    if code:
        return _refusal(spec, code)
    return _judged(_members_reload(spec.parent, rows, list(seen.values())))


def _members_reload(run: Path, rows: Rows, before: list[Tensor]) -> str:
    for part, wanted in zip(("reward_model", "held_out_reward_model"), before, strict=True):
        loaded = classifier_load_path(run / part / "member_0")
        error = apart(scores_of(loaded, rows), wanted)
        if not error <= TOLERANCE:
            return f"{part} scores otherwise from its files, by {error:.2g}"
        if wrong := reward_numbers(loaded):
            return f"{part}: {wrong}"
    return ""


NO_ADAPTER = AdapterConfig()
STEPS: dict[str, Callable[[Path], Outcome]] = {
    "policy": _policy,
    "without a padding token": _padless,
    "SFT": lambda folder: _sft(folder, NO_ADAPTER, "sft"),
    "SFT, LoRA": lambda folder: _sft(folder, LORA, "sft_lora"),
    "DPO": lambda folder: _dpo(folder, NO_ADAPTER, "dpo"),
    "DPO, LoRA": lambda folder: _dpo(folder, LORA, "dpo_lora"),
    "backbone": _reward,
    "reward model": _reward_model,
    "PPO": lambda folder: _ppo(folder, NO_ADAPTER, "ppo"),
    "PPO, LoRA": lambda folder: _ppo(folder, LORA, "ppo_lora"),
}
