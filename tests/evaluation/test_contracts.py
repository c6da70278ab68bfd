import json
import subprocess
import sys

import pytest

from evaluation.contracts import (
    CONFIGS,
    EProcessPoint,
    GatePolicySettings,
    Interval,
    RoundRecord,
    RoundSummary,
    SamplePair,
    SampleSide,
    TruthColumn,
)
from evaluation.policy import gate_decide
from training.contracts import ContractError

from .policy.evidence import GOOD

TRUTH = TruthColumn(Interval(0.6, 0.5, 0.7, 0.95, 384), Interval(0.4, 0.1, 0.7, 0.95, 384))


def test_a_full_round_record_survives_json_unchanged():
    side = SampleSide("Four.", 2, 0.4, 0.3, 1.5)
    record = RoundRecord(
        line="help-desk",
        number=2,
        state="DECIDED",
        created_at="2025-01-01T00:00:00Z",
        simulated=True,
        policy=GOOD.policy,
        reward_model=GOOD.reward_model,
        human=GOOD.labels,
        gate=gate_decide(GOOD, GatePolicySettings()),
        training_curves={"ppo": ({"step": 1.0, "train_reward": 0.1, "held_out_reward": None},)},
        trajectory=(EProcessPoint(1, 1.0, 0.0, 1.0, 1.4),),
        samples=(SamplePair("best_win", "p1", ({"role": "user", "content": "2+2?"},), side, side),),
        truth=TRUTH,
        history=(RoundSummary(1, None, "CANCELLED"), RoundSummary(2, "PROMOTE", "DECIDED")),
    )
    assert RoundRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_stored_record_of_an_earlier_release_is_read_without_what_nothing_fills():
    now = RoundRecord("a", 1, "DECIDED", "2025-01-01T00:00:00Z", simulated=True, truth=TRUTH)
    then = now.to_json() | {"curve_fits": [], "win_matrix": {}, "schema": 1}
    then["truth"] |= {"label_accuracy": None, "win_rate_against_first": None}
    assert RoundRecord.from_json(then) == now
    with pytest.raises(ContractError, match="unknown field 'curve_fit'"):
        RoundRecord.from_json(then | {"curve_fit": []})


def test_truth_is_refused_outside_simulated_worlds():
    with pytest.raises(ValueError, match="simulated worlds only"):
        RoundRecord("a", 1, "DECIDED", "2025-01-01T00:00:00Z", truth=TRUTH)


def test_an_interval_that_is_turned_round_is_named():
    with pytest.raises(ContractError, match="must not exceed"):
        Interval.from_json({"estimate": 0.5, "low": 0.6, "high": 0.4, "level": 0.95, "n": 3})


def test_configurations_fill_their_defaults():
    for config in CONFIGS.values():
        assert config.from_json({}).to_json()["level"] == 0.95


def test_contracts_and_policy_load_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import evaluation.contracts, evaluation.policy;"
        "new = {m.split('.')[0] for m in set(sys.modules) - before};"
        "print(sorted(new - set(sys.stdlib_module_names) - {'evaluation', 'training', 'annotation', 'web'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
