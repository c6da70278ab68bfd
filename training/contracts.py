"""What travels between the site and a learning program: specs, configurations, events, manifests.

Standard library only, frozen dataclasses only: the Django side and the torch side both import this
module, so it must drag in neither. Every class has a JSON form, read by `from_json` (which names the
field that is wrong) and written by `to_json`.

File formats that the recipes share (JSON lines, UTF-8):

prompts      {"id": str, "messages": [{"role", "content"}...], "group": str}
             `group` is the root-conversation hash: one group is never on both sides of a split.
demonstrations  {"messages": [..., {"role": "assistant", "content": str}]}
preferences  {"id": str, "group": str, "messages": [...], "completions": [str, str],
              "preference": float, "strength": float, "weight": float,
              "split": "train" | "validation" | "test", "rater": str,
              "campaign": str, "purpose": str, "judged_at": str, "source": str}
             `preference` is the probability that completion 0 is the better one (a tie is 0.5);
             `strength` is the raw step 1..7 in slot order (1: completion 0 much better).
completions  {"prompt_id": str, "completions": [{"text", "tokens", "ended", "seed", "scores": {name: float}}]}
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Any, Literal, Self

SCHEMA = 1

RunKind = Literal[
    "sft",
    "reward_model",
    "ppo",
    "dpo",
    "best_of_n",
    "sample_pairs",
    "evaluate_reward_model",
    "evaluate_policy",
]

Optimizer = Literal["ppo", "dpo", "best_of_n"]
"""The recipes that make a candidate of a policy; each is a run kind."""

RECIPE_MODULES: dict[str, str] = {
    "sft": "training.recipes.sft",
    "reward_model": "training.recipes.reward_model",
    "ppo": "training.recipes.ppo",
    "dpo": "training.recipes.dpo",
    "best_of_n": "training.recipes.best_of_n",
    "sample_pairs": "training.recipes.sample_pairs",
    "evaluate_reward_model": "evaluation.recipes.evaluate_reward_model",
    "evaluate_policy": "evaluation.recipes.evaluate_policy",
}


class ContractError(ValueError):
    """A JSON document that does not fit its contract; the message names the field and the fix."""


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value: sorted keys, no spaces, no NaN."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def json_sha256(value: Any) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


class JsonContract:
    """Mixin for frozen dataclasses that travel as JSON objects."""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """Build from a JSON object; unknown, missing or mistyped fields raise `ContractError`."""
        value = _decode(document, cls, cls.__name__)
        assert isinstance(value, cls)
        return value


def _decode(value: Any, expected: Any, where: str) -> Any:
    origin = typing.get_origin(expected)
    if expected is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _decode_union(value, expected, where)
    if origin is Literal:
        if value not in typing.get_args(expected):
            choices = ", ".join(map(repr, typing.get_args(expected)))
            raise ContractError(f"{where}: {value!r} is not one of {choices}.")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ContractError(f"{where}: expected a list, got {type(value).__name__}.")
        item = typing.get_args(expected)[0]
        return tuple(_decode(v, item, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ContractError(f"{where}: expected an object, got {type(value).__name__}.")
        item = typing.get_args(expected)[1]
        return {str(k): _decode(v, item, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(expected):
        return _decode_dataclass(value, expected, where)
    return _decode_scalar(value, expected, where)


def _decode_union(value: Any, expected: Any, where: str) -> Any:
    options = typing.get_args(expected)
    if value is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    errors: list[str] = []
    for option in rest:
        try:
            return _decode(value, option, where)
        except ContractError as error:
            errors.append(str(error))
    raise ContractError(errors[-1])


def _decode_scalar(value: Any, expected: type, where: str) -> Any:
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
        raise ContractError(
            f"{where}: expected {expected.__name__}, got {type(value).__name__} ({value!r})."
        )
    return value


@functools.cache
def _type_hints(expected: Any) -> dict[str, Any]:
    """Resolving annotations is slow, and data files have thousands of rows of one class."""
    return typing.get_type_hints(expected)


def _decode_dataclass(value: Any, expected: Any, where: str) -> Any:
    if isinstance(value, expected):
        return value
    if not isinstance(value, dict):
        raise ContractError(f"{where}: expected an object, got {type(value).__name__}.")
    hints = _type_hints(expected)
    fields = {f.name: f for f in dataclasses.fields(expected)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise ContractError(
            f"{where}: unknown field {unknown[0]!r}; known fields are {', '.join(sorted(fields))}."
        )
    for name, spec in fields.items():
        required = (
            spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        )
        if required and name not in value:
            raise ContractError(f"{where}: the field {name!r} is missing.")
    try:
        return expected(**{k: _decode(v, hints[k], f"{where}.{k}") for k, v in value.items()})
    except ContractError:
        raise
    except ValueError as error:
        raise ContractError(f"{where}: {error}") from error


# --------------------------------------------------------------------------- runs


@dataclass(frozen=True)
class InputRef(JsonContract):
    """A file or artifact directory that a run reads. `path` is absolute; `sha256` is its digest."""

    path: str
    sha256: str


@dataclass(frozen=True)
class RunSpec(JsonContract):
    """The frozen order for one learning program: `RUN_DIRECTORY/spec.json`."""

    run_id: str
    kind: RunKind
    seed: int
    inputs: dict[str, InputRef]
    config: dict[str, Any]
    schema: int = SCHEMA

    def sha256(self) -> str:
        return json_sha256(self.to_json())


@dataclass(frozen=True)
class RunEvent(JsonContract):
    """One line of `RUN_DIRECTORY/events.jsonl`; `seq` counts from 1 and is unique in a run.

    `step` of `total_steps` is the progress inside `phase`; `message` is for people.
    """

    seq: int
    at: str  # ISO 8601, UTC
    phase: str
    step: int
    total_steps: int
    metrics: dict[str, float | None] = field(default_factory=dict)
    message: str = ""


ArtifactKind = Literal["policy", "adapter", "reward_model", "held_out_reward_model", "file"]


@dataclass(frozen=True)
class ArtifactRef(JsonContract):
    """Something that a run wrote: a directory or file below the run directory."""

    name: str
    kind: ArtifactKind
    path: str  # relative to the run directory
    sha256: str
    bytes: int


@dataclass(frozen=True)
class RunManifest(JsonContract):
    """What a finished run says of itself: `RUN_DIRECTORY/manifest.json`, written last."""

    run_id: str
    kind: RunKind
    spec_sha256: str
    artifacts: tuple[ArtifactRef, ...]
    results: dict[str, Any]
    environment: dict[str, Any]
    seconds: float
    peak_memory_mb: float
    schema: int = SCHEMA

    def artifact(self, name: str) -> ArtifactRef:
        for artifact in self.artifacts:
            if artifact.name == name:
                return artifact
        known = ", ".join(a.name for a in self.artifacts) or "none"
        raise ContractError(f"The manifest has no artifact {name!r}; it has: {known}.")


# ------------------------------------------------------------------ configurations


@dataclass(frozen=True)
class ModelSource(JsonContract):
    """Where weights come from.

    kind "input": the run input named `name`; "pretrained": any Hugging Face name or path in `name`;
    "fresh": a small model of `architecture` with the sizes below and a word-level tokenizer learned
    from the training texts (or the tokenizer of the run input named `tokenizer_from`).
    """

    kind: Literal["input", "pretrained", "fresh"] = "input"
    name: str = "policy"
    architecture: Literal["llama", "bert"] = "llama"
    hidden_size: int = 96
    layers: int = 3
    heads: int = 4
    feed_forward: int = 256
    max_positions: int = 256
    init_std: float = 0.08
    vocabulary_limit: int = 4000
    tokenizer_from: str = ""


@dataclass(frozen=True)
class Sampling(JsonContract):
    """How completions are drawn. top_k 0 and top_p 1 switch the filters off."""

    max_new_tokens: int = 48
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    batch_size: int = 128


@dataclass(frozen=True)
class AdapterConfig(JsonContract):
    """kind "lora" freezes the weights and trains W + (alpha / rank) B A beside them (Hu 2021).

    `targets` are names of linear layers, such as "q_proj"; none named means all but the output layer.
    """

    kind: Literal["none", "lora"] = "none"
    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0:
            raise ValueError("an adapter needs a rank of at least 1 and an alpha above 0.")


@dataclass(frozen=True)
class SftPhase(JsonContract):
    """One stretch of supervised fine-tuning on the run input named `data`."""

    data: str
    steps: int
    learning_rate: float
    batch_size: int = 32
    warmup_steps: int = 50


@dataclass(frozen=True)
class SftConfig(JsonContract):
    model: ModelSource
    phases: tuple[SftPhase, ...]
    max_length: int = 256
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    micro_batch_size: int = 0  # conversations in memory at once; 0: the whole batch
    gradient_checkpointing: bool = False
    checkpoint_every: int = 200
    log_every: int = 20
    adapter: AdapterConfig = field(default_factory=AdapterConfig)


Ties = Literal["half", "rao_kupper", "davidson"]
LabelSource = Literal["votes", "vote_shares", "posterior"]
BatchBy = Literal["pairs", "prompts"]


@dataclass(frozen=True)
class RewardModelConfig(JsonContract):
    """Bradley-Terry reward models: an ensemble of `members`, and the held-out model.

    Raises `ContractError` where settings contradict one another.
    """

    backbone: ModelSource
    members: int = 2
    held_out_share: float = 0.25
    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 6e-4
    warmup_share: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    max_length: int = 256
    centering: float = 0.0
    label_smoothing: float = 0.0
    margin_scale: float = 0.0
    margins: tuple[float, ...] = ()  # of slightly better, better, much better
    labels: LabelSource = "votes"
    ties: Ties = "half"
    tie_parameter: float = 0.0  # fixed eta (Rao-Kupper) or nu (Davidson); 0: learned
    batch_by: BatchBy = "pairs"
    validate_every: int = 0  # steps between measurements of the validation NLL; 0: never
    patience: int = 3  # measurements without a better one, after which training ends
    weight_average: bool = False  # the members become one model, the mean of their weights
    micro_batch_size: int = 0  # pairs in memory at once; 0: the whole batch
    packed: bool = False  # passes over texts of like length; plain Llamas: no padding at all
    gradient_checkpointing: bool = False
    checkpoint_every: int = 100
    log_every: int = 10

    def __post_init__(self) -> None:
        for wrong, sentence in self._contradictions():
            if wrong:
                raise ContractError(f"RewardModelConfig: {sentence}")

    def _contradictions(self) -> tuple[tuple[bool, str], ...]:
        margins = self.margin_scale != 0 or bool(self.margins)
        rising = self.margins == tuple(sorted(self.margins)) and min(self.margins, default=0) >= 0
        return (
            (
                min(self.members, self.epochs, self.batch_size) < 1,
                "members, epochs and batch_size must be at least 1.",
            ),
            (
                not 0 < self.held_out_share < 1,
                f"held_out_share must lie between 0 and 1, not {self.held_out_share}: "
                "the held-out model is always trained.",
            ),
            (
                not 0 <= self.label_smoothing < 0.5,
                f"label_smoothing must lie in [0, 0.5), not {self.label_smoothing}.",
            ),
            (
                self.label_smoothing > 0 and self.labels == "posterior",
                "label_smoothing and labels 'posterior' both soften labels for raters' errors; "
                "choose one.",
            ),
            (
                min(self.margin_scale, self.centering, self.tie_parameter) < 0,
                "margin_scale, centering and tie_parameter must not be negative.",
            ),
            (
                self.margin_scale != 0 and bool(self.margins),
                "margin_scale and margins both set the margin; leave one at its default.",
            ),
            (
                bool(self.margins) and (len(self.margins) != 3 or not rising),
                "margins must be three rising numbers, those of slightly better, better and much "
                f"better, not {list(self.margins)}.",
            ),
            (
                margins and self.ties != "half",
                f"a margin and the tie model {self.ties!r} both claim the scores near equality; "
                "set margin_scale to 0 and margins to [], or ties to 'half'.",
            ),
            (
                self.tie_parameter != 0 and self.ties == "half",
                "tie_parameter belongs to a tie model; set ties to 'rao_kupper' or 'davidson', or "
                "tie_parameter to 0.",
            ),
            (
                min(self.checkpoint_every, self.log_every, self.patience) < 1,
                "checkpoint_every, log_every and patience must be at least 1.",
            ),
            (
                self.validate_every < 0,
                f"validate_every must be 0 (never) or more, not {self.validate_every}.",
            ),
            (
                self.weight_average and self.members < 2,
                "weight_average is the mean of members; set members to 2 or more.",
            ),
        )


@dataclass(frozen=True)
class KlControl(JsonContract):
    """kind "fixed" keeps `beta`; "adaptive" steers the sequence KL to `target` nats (Ziegler 2019)."""

    kind: Literal["fixed", "adaptive"] = "fixed"
    beta: float = 0.07
    target: float = 6.0
    horizon: int = 10_000
    budget: float = 0.0  # hard limit on the sequence KL in nats; 0: none


@dataclass(frozen=True)
class Alarms(JsonContract):
    """When the training of a policy stops by itself, with the last healthy policy kept.

    A limit of 0 is none; a number that is not finite always stops. The defaults lie far beyond what
    ordinary runs show: the gate judges, an alarm only saves what could not be judged.
    """

    kl_limit: float = 100.0  # nats per sequence
    entropy_share: float = 0.02  # of the entropy of the first rollout
    reward_rise: float = 2.0  # of the training reward, without any of the held-out reward
    patience: int = 3  # rows in a row; one is enough for kl_limit and for what is not finite


Engine = Literal["own", "transformers", "vllm"]
"""Who draws the completions that PPO learns from."""


@dataclass(frozen=True)
class PpoConfig(JsonContract):
    """PPO against a frozen reward model (Ziegler 2019, Stiennon 2020, Huang 2024)."""

    updates: int = 20
    prompts_per_update: int = 256
    epochs: int = 2
    mini_batches: int = 4
    micro_batch_size: int = 64
    policy_learning_rate: float = 3e-4
    value_learning_rate: float = 5e-4
    warmup_updates: int = 2
    gamma: float = 1.0
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    value_clip_range: float = 0.2
    value_coefficient: float = 0.5
    max_grad_norm: float = 1.0
    missing_eos_penalty: float = 1.0
    whiten_advantages: bool = True
    shared_backbone: bool = False
    reward_combination: Literal["mean", "worst", "mean_minus_variance"] = "mean"
    variance_weight: float = 0.5
    reward_function: str = ""  # "package.module:function", a scripted reward in place of the model
    early_stop_update_kl: float = 0.0  # end the PPO epochs of one update above this; 0: never
    kl: KlControl = field(default_factory=KlControl)
    sampling: Sampling = field(default_factory=Sampling)
    rollout_engine: Engine = "own"
    engine_dtype: Literal["float32", "bfloat16"] = "float32"  # of an engine that is not our own
    importance_cap: float = 2.0  # largest weight of a token that such an engine drew
    max_prompt_tokens: int = 128
    exact_kl_rollouts: int = 32  # rollouts per update on which the full-vocabulary KL is computed
    checkpoint_every: int = 1
    evaluate_every: int = 2  # updates between checkpoints scored for the mismatch meter
    held_out_patience: int = (
        0  # updates without a better held-out reward until the end; 0: no limit
    )
    ptx_coefficient: float = 0.0  # weight of the loss on demonstrations (Ouyang 2022, PPO-ptx)
    ptx_batch_size: int = 32
    packed: bool = False  # plain Llamas: no padding is computed, in fewer operators
    gradient_checkpointing: bool = False
    alarms: Alarms = field(default_factory=Alarms)
    adapter: AdapterConfig = field(default_factory=AdapterConfig)


@dataclass(frozen=True)
class MeasureConfig(JsonContract):
    """How a policy is measured while it learns from a fixed data set, and when that ends the run.

    At the start and at `points` later moments, evenly over the steps, it answers the same `prompts`
    prompts with the same random numbers.
    """

    points: int = 8
    prompts: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    max_prompt_tokens: int = 128
    exact_kl_rollouts: int = 32
    kl_budget: float = 0.0  # hard limit on the sequence KL in nats; 0: none
    held_out_patience: int = 0  # measurements without a better held-out reward; 0: no limit
    alarms: Alarms = field(default_factory=Alarms)


@dataclass(frozen=True)
class DpoConfig(JsonContract):
    """Direct preference optimisation (Rafailov 2023), or with `loss` "ipo" that of Azar 2023."""

    loss: Literal["dpo", "ipo"] = "dpo"
    beta: float = 0.1
    label_smoothing: float = 0.0
    held_out_share: float = 0.25  # of the prompt groups, left to the held-out reward model
    epochs: int = 2
    batch_size: int = 32
    micro_batch_size: int = 64
    learning_rate: float = 1e-4
    warmup_share: float = 0.1
    max_grad_norm: float = 1.0
    max_length: int = 256
    reward_combination: Literal["mean", "worst", "mean_minus_variance"] = "mean"
    variance_weight: float = 0.5
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    checkpoint_every: int = 50
    log_every: int = 10
    adapter: AdapterConfig = field(default_factory=AdapterConfig)


@dataclass(frozen=True)
class BestOfNConfig(JsonContract):
    """Rejection sampling: draw `n` completions, keep the best one of each prompt, learn to write it.

    Every iteration draws from the policy that the one before made (Touvron 2023, section 3.2.3).
    """

    n: int = 8
    iterations: int = 2
    prompts_per_iteration: int = 512
    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 1e-4
    warmup_share: float = 0.1
    max_grad_norm: float = 1.0
    missing_eos_penalty: float = 1.0
    reward_combination: Literal["mean", "worst", "mean_minus_variance"] = "mean"
    variance_weight: float = 0.5
    reward_function: str = ""  # "package.module:function", a scripted reward in place of the model
    measure: MeasureConfig = field(default_factory=MeasureConfig)
    checkpoint_every: int = 25
    log_every: int = 5
    adapter: AdapterConfig = field(default_factory=AdapterConfig)


@dataclass(frozen=True)
class SamplePairsConfig(JsonContract):
    """Draw `completions_per_prompt` completions; score them when a reward model input is given."""

    completions_per_prompt: int = 2
    sampling: Sampling = field(default_factory=Sampling)


CONFIGS: dict[str, type[JsonContract]] = {
    "sft": SftConfig,
    "reward_model": RewardModelConfig,
    "ppo": PpoConfig,
    "dpo": DpoConfig,
    "best_of_n": BestOfNConfig,
    "sample_pairs": SamplePairsConfig,
}
