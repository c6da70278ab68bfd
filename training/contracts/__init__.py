"""What travels between the site and a learning program: specs, configurations, events, manifests.

Standard library only, frozen dataclasses only: the Django side and the torch side both import this
package, so it must drag in neither. Every class has a JSON form, read by `from_json` (which names the
field that is wrong) and written by `to_json`.

The data files that recipes read have their rows in `annotation.rows`; the one that they write holds

completions  {"prompt_id": str, "completions": [{"text", "tokens", "ended", "seed", "scores": {name: float}}]}
"""

from training.contracts.jobs import (
    JobBackend,
    JobFiles,
    JobPhase,
    JobPlan,
    JobResources,
    JobStanding,
    Precision,
)
from training.contracts.optimizers import (
    Advantage,
    Alarms,
    BestOfNConfig,
    DpoConfig,
    KlControl,
    MeasureConfig,
    PairLoss,
    PpoConfig,
    RewardCombination,
    RewardShaping,
)
from training.contracts.policies import (
    AdapterConfig,
    CheckpointDtype,
    ModelSource,
    SamplePairsConfig,
    Sampling,
    SftConfig,
    SftPhase,
    TemplateValue,
    Truncation,
)
from training.contracts.reward_models import (
    BatchBy,
    LabelSource,
    OffPolicyConfig,
    RewardLoss,
    RewardModelConfig,
    Ties,
)
from training.contracts.runs import (
    EXIT_CANCELLED,
    EXIT_ERROR,
    EXIT_HELD,
    EXIT_USER,
    RECIPE_MODULES,
    SCHEMA,
    TRACKERS,
    ArtifactKind,
    ArtifactRef,
    AttemptError,
    InputRef,
    Optimizer,
    RunEvent,
    RunKind,
    RunManifest,
    RunSpec,
)
from web.json_contract import (
    ContractError,
    JsonContract,
    canonical_json,
    json_sha256,
    require_finite,
)

__all__ = [
    "CONFIGS",
    "EXIT_CANCELLED",
    "EXIT_ERROR",
    "EXIT_HELD",
    "EXIT_USER",
    "RECIPE_MODULES",
    "SCHEMA",
    "TRACKERS",
    "AdapterConfig",
    "Advantage",
    "Alarms",
    "ArtifactKind",
    "ArtifactRef",
    "AttemptError",
    "BatchBy",
    "BestOfNConfig",
    "CheckpointDtype",
    "ContractError",
    "DpoConfig",
    "InputRef",
    "JobBackend",
    "JobFiles",
    "JobPhase",
    "JobPlan",
    "JobResources",
    "JobStanding",
    "JsonContract",
    "KlControl",
    "LabelSource",
    "MeasureConfig",
    "ModelSource",
    "OffPolicyConfig",
    "Optimizer",
    "PairLoss",
    "PpoConfig",
    "Precision",
    "RewardCombination",
    "RewardLoss",
    "RewardModelConfig",
    "RewardShaping",
    "RunEvent",
    "RunKind",
    "RunManifest",
    "RunSpec",
    "SamplePairsConfig",
    "Sampling",
    "SftConfig",
    "SftPhase",
    "TemplateValue",
    "Ties",
    "Truncation",
    "canonical_json",
    "json_sha256",
    "require_finite",
]

CONFIGS: dict[str, type[JsonContract]] = {
    "sft": SftConfig,
    "reward_model": RewardModelConfig,
    "ppo": PpoConfig,
    "dpo": DpoConfig,
    "best_of_n": BestOfNConfig,
    "sample_pairs": SamplePairsConfig,
}
