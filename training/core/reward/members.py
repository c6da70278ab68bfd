"""A trained member on disk, and what several of them are together: an ensemble or one average."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.contracts import JsonContract, RewardModelConfig
from training.core.data.pairs import Division, EncodedPair
from training.core.model.adapted_classifier import (
    ClassifierBase,
    adapted_save,
    is_adapted,
    merged,
)
from training.core.model.loading import LoadedModel, model_save
from training.core.reward.measurement import (
    Reference,
    length_baseline,
    model_results,
    pair_differences,
    reference_read,
    temperature_of,
)
from training.core.reward.planning import pairs_judged_on
from training.core.reward.scoring import (
    SETTINGS,
    BaseSettings,
    EnsembleSettings,
    MemberSettings,
    member_load,
    member_scores,
)
from training.core.reward.ties import TieModel, ties_mean, without_tie

__all__ = [
    "Ensemble",
    "MemberBase",
    "MemberRecord",
    "ensemble_measure",
    "ensemble_results",
    "ensemble_write",
    "member_write",
    "members_average",
    "record_read",
]

RECORD = "training.json"
Report = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class MemberRecord(JsonContract):
    """What a member's weights do not say: its tie parameter, and which step was kept of how many."""

    tie_parameter: float = 0.0
    steps: int = 0
    kept_step: int = 0
    validation_nll: float | None = None


def member_write(path: Path, loaded: LoadedModel, record: MemberRecord | None) -> None:
    """Weights and tokenizer, or an adapter alone; the record where a tie model or early stopping makes one."""
    save = adapted_save if is_adapted(loaded.model) else model_save
    save(loaded, path, without_tie)
    if record is not None:
        (path / RECORD).write_text(json.dumps(record.to_json(), sort_keys=True) + "\n")


def record_read(path: Path) -> MemberRecord | None:
    if not (path / RECORD).exists():
        return None
    return MemberRecord.from_json(json.loads((path / RECORD).read_text()))


def members_average(
    directories: Sequence[Path], base: ClassifierBase | None = None
) -> tuple[LoadedModel, MemberRecord | None]:
    """One model whose weights are the mean of the members' (WARM, Rame 2024); whole, if they are adapters too.

    They must share their first weights, head included: means of unrelated weights mean nothing. The
    tie parameter is averaged as it is learned, by its logarithm.
    """
    loaded = merged(member_load(directories[0], base))
    states = [merged(member_load(path, base)).model.state_dict() for path in directories]
    mean = {
        name: torch.stack([s[name].double() for s in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    loaded.model.load_state_dict(mean)
    records = [record for path in directories if (record := record_read(path)) is not None]
    logs = [math.log(r.tie_parameter) for r in records if r.tie_parameter > 0]
    return loaded, MemberRecord(math.exp(sum(logs) / len(logs))) if logs else None


# ----------------------------------------------------------------------- measuring


@dataclass(frozen=True)
class MemberBase:
    """What members that are adapters stand on: in memory, on disk, and as the artifact will say it."""

    classifier: ClassifierBase
    directory: Path
    settings: BaseSettings


@dataclass(frozen=True)
class Ensemble:
    """Measured models that become one artifact, with what the test split says of them."""

    settings: EnsembleSettings
    directories: list[Path]
    members: list[dict[str, Any]]
    together: dict[str, Any]
    base: Path | None = None  # of members that are adapters


@dataclass(frozen=True)
class _Measured:
    """One member: its settings, its differences on both splits, and its results."""

    settings: MemberSettings
    validation: Tensor
    test: Tensor
    results: dict[str, Any]
    reference: Reference


def ensemble_measure(
    directories: Sequence[Path],
    division: Division,
    validation: Sequence[EncodedPair],
    *,
    config: RewardModelConfig,
    inputs: Mapping[str, Path],
    device: torch.device,
    report: Report,
    base: MemberBase | None = None,
    criteria: Sequence[str] = (),
) -> Ensemble:
    """Put the members' scores on a common scale, fit their temperatures, and test them.

    Temperatures come from `validation`, results from the test split; `report` is told of each
    member by the name of its directory. Members that are adapters stand on `base`. `criteria`, where they learned
    any, are the members': each is then measured on the pairs that were judged on its own.
    """
    measured = list[_Measured]()
    for i, (path, criterion) in enumerate(
        zip(directories, criteria or [""] * len(directories), strict=True)
    ):
        loaded = member_load(path, None if base is None else base.classifier)
        loaded.model.to(device)
        reference = reference_read(inputs, loaded.tokenizer, division, config=config)
        record = record_read(path) or MemberRecord()
        ties = TieModel(config.ties, record.tie_parameter)
        found = _measure(f"member_{i}", loaded, division, validation, reference, ties, criterion)
        weight = config.criteria[criterion] if criterion else 1.0
        settings = replace(found.settings, criterion=criterion, weight=weight)
        measured.append(replace(found, settings=settings))
        if record.validation_nll is not None:
            measured[-1].results.update(steps=record.steps, kept_step=record.kept_step)
        report(path.name, measured[-1].results)
    ensemble = _together(directories, division, validation, config, measured)
    if base is None:
        return ensemble
    standing = replace(ensemble.settings, base=base.settings)
    return replace(ensemble, base=base.directory, settings=standing)


def _measure(
    name: str,
    loaded: LoadedModel,
    division: Division,
    validation: Sequence[EncodedPair],
    reference: Reference,
    ties: TieModel,
    criterion: str = "",
) -> _Measured:
    scores = member_scores(loaded, reference.texts)
    test = pair_differences(loaded, division.test)
    checked = pair_differences(loaded, validation)
    temperature = temperature_of(*_judged_on(criterion, checked, validation), ties)
    mean, std = float(scores.mean()), max(1e-6, float(scores.std(unbiased=False)))
    settings = MemberSettings(name, mean, std, temperature, ties.parameter)
    results = model_results(*_judged_on(criterion, test, division.test), temperature, ties)
    if criterion:
        results["criterion"] = criterion
    return _Measured(settings, checked, test, results, reference)


def _judged_on(
    criterion: str, difference: Tensor, pairs: Sequence[EncodedPair]
) -> tuple[Tensor, Sequence[EncodedPair]]:
    """The differences (N,) of the pairs that were judged on it, and these pairs; all without a criterion."""
    if not criterion:
        return difference, pairs
    kept = [i for i, pair in enumerate(pairs) if pair.row.of_criterion(criterion) is not None]
    return difference[kept], pairs_judged_on(pairs, criterion)


def _together(
    directories: Sequence[Path],
    division: Division,
    validation: Sequence[EncodedPair],
    config: RewardModelConfig,
    measured: Sequence[_Measured],
) -> Ensemble:
    """The mean of raw differences, or of those of the mixes, and of tie parameters, with a temperature of its own."""
    ties = ties_mean(config.ties, [m.settings.tie_parameter for m in measured])
    reference = measured[0].reference
    settings = EnsembleSettings(
        members=tuple(m.settings for m in measured),
        max_length=config.max_length,
        truncation=config.truncation,
        reference=reference.source,
        reference_texts=len(reference.texts),
        ties=config.ties,
        tie_parameter=ties.parameter,
    )
    checked, tests = (
        (settings.mixing() @ (found / settings.scales()) if settings.criteria else found).mean(0)
        for found in (
            torch.stack([m.validation for m in measured]),
            torch.stack([m.test for m in measured]),
        )
    )
    temperature = temperature_of(checked, validation, ties)
    return Ensemble(
        replace(settings, temperature=temperature),
        list(directories),
        [m.results for m in measured],
        model_results(tests, division.test, temperature, ties),
    )


def ensemble_results(
    pairs: Sequence[EncodedPair],
    division: Division,
    ensemble: Ensemble,
    guard: Ensemble,
) -> dict[str, Any]:
    """What a run's manifest says of its models; `guard` is the held-out one."""
    return {
        "test": {
            "ensemble": ensemble.together,
            "members": ensemble.members,
            "held_out_model": guard.together,
            "length_baseline": length_baseline(division),
            "ties": sum(p.row.tie for p in division.test),
            "groups": len({p.row.group for p in division.test}),
        },
        "pairs": division.counts(),
        "cut_texts": sum(p.cut for p in pairs),
        "reference": ensemble.settings.reference,
        "reference_texts": ensemble.settings.reference_texts,
    }


def ensemble_write(path: Path, ensemble: Ensemble) -> None:
    """The layout that `training.core.reward.scoring` reads: one directory per member, what adapters stand on, the
    settings."""
    for member, source in zip(ensemble.settings.members, ensemble.directories, strict=True):
        shutil.copytree(source, path / member.path)
    document = ensemble.settings.to_json()
    if ensemble.base is None or ensemble.settings.base is None:
        document.pop("base")
    else:
        shutil.copytree(ensemble.base, path / ensemble.settings.base.path)
    if ensemble.settings.ties == "half":  # the file, and so the digest, of a plain model as ever
        for part in (document, *document["members"]):
            part.pop("ties", None)
            part.pop("tie_parameter")
    if not ensemble.settings.criteria:
        for part in document["members"]:
            del part["criterion"], part["weight"]
    if ensemble.settings.truncation == "oldest_turns":
        document.pop("truncation")
    (path / SETTINGS).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
