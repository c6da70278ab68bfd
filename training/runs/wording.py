"""What people call the programs, their phases and their figures: machine names never reach a page."""

from __future__ import annotations

import re

from .progress import ALARM_NAMES

KINDS = {
    "sft": "Supervised fine-tuning",
    "reward_model": "Reward models",
    "ppo": "Policy by PPO",
    "dpo": "Policy by DPO",
    "best_of_n": "Policy by best-of-n",
    "sample_pairs": "Writing pairs",
    "evaluate_reward_model": "Measuring the reward model",
    "evaluate_policy": "Measuring the policy",
}

# Pattern of a phase as its program reports it -> words; groups fill in.
_PHASES = (
    (r"start", "Starting"),
    (r"resume", "Going on from the last checkpoint"),
    (r"memory", "Estimating the memory"),
    (r"preflight", "Checking the order"),
    (r"train (\d+)/(\d+)", r"Training, part \1 of \2"),
    (r"(train|validate) member_(\d+)", r"Training ensemble member \2"),
    (r"(train|validate) held_out", "Training the held-out reward model"),
    (r"train", "Training"),
    (r"validate", "Validating"),
    (r"ppo|dpo|best_of_n", "Training the policy"),
    (r"measure|evaluate", "Measuring"),
    (r"divergence", "Measuring the KL"),
    (r"sample|drawn", "Writing answers"),
    (r"resample", "Writing more answers"),
    (r"score", "Scoring answers"),
    (r"final", "Measuring the finished policy"),
    (r"finish", "Finishing"),
)

_FIGURES = {
    "accuracy": "Accuracy",
    "approx_kl": "KL of one update (nats a token)",
    "beta": "Weight of the KL penalty",
    "best_held_out_reward": "Best held-out reward (z)",
    "best_held_out_update": "Update with the best held-out reward",
    "clip_fraction": "Clipped tokens (share)",
    "completions": "Answers written",
    "cut_texts": "Texts cut at the length limit",
    "distinct_2": "Distinct word pairs (share)",
    "ece": "Calibration error",
    "ece_calibrated": "Calibration error, after temperature",
    "ended": "Answers that ended by themselves",
    "ended_share": "Answers that ended by themselves (share)",
    "ensemble_std": "Disagreement of the ensemble (z)",
    "entropy": "Entropy (nats a token)",
    "eos_rate": "Answers that ended by themselves (share)",
    "grad_norm": "Gradient norm",
    "groups": "Groups of prompts",
    "held_out_gain": "Held-out reward gained (z)",
    "kl_exact": "KL to the reference, exact (nats an answer)",
    "kl_k1": "KL to the reference, k1 (nats an answer)",
    "kl_k3": "KL to the reference, k3 (nats an answer)",
    "kl_reference": "KL to the reference (nats an answer)",
    "learning_rate": "Learning rate",
    "length_baseline": "Accuracy of choosing by length",
    "length_ratio": "Length against the incumbent (ratio)",
    "loss": "Loss",
    "mean_tokens": "Mean length (tokens)",
    "members": "Members of the ensemble",
    "nll": "Negative log-likelihood (nats a pair)",
    "nll_calibrated": "Negative log-likelihood, after temperature (nats a pair)",
    "optimizer_steps": "Optimiser steps",
    "pairs": "Pairs",
    "parameters": "Parameters",
    "policy_loss": "Policy loss",
    "prompts": "Prompts",
    "reference": "Scale of the reward taken from",
    "reference_texts": "Texts that the scale is taken from",
    "repeated": "Answers written twice",
    "repetition": "Repetition (share)",
    "response_length": "Answer length (tokens)",
    "reward_held_out": "Held-out reward (z)",
    "reward_held_out_raw": "Held-out reward, unscaled",
    "reward_train": "Training reward (z)",
    "reward_train_raw": "Training reward, unscaled",
    "seconds": "Time of one update (s)",
    "seconds_rollout": "Time spent sampling (s)",
    "seconds_score": "Time spent scoring (s)",
    "seconds_train": "Time spent training (s)",
    "steps": "Steps",
    "stopped_by": "Ended",
    "stopped_early": "Passes stopped early by the KL",
    "temperature": "Temperature",
    "tokens_per_second": "Tokens a second",
    "tokens_per_second_rollout": "Tokens a second, sampling",
    "tokens_per_second_score": "Tokens a second, scoring",
    "tokens_per_second_train": "Tokens a second, training",
    "train_gain": "Training reward gained (z)",
    "train_loss": "Training loss",
    "trained_parameters": "Trained parameters",
    "updates": "Updates",
    "updates_run": "Updates run",
    "validation_examples": "Validation examples",
    "validation_loss": "Validation loss (nats a token)",
    "value_clip_fraction": "Clipped values (share)",
    "value_explained_variance": "Explained variance of the values",
    "value_grad_norm": "Gradient norm of the value model",
    "value_loss": "Value loss",
    "vocabulary": "Vocabulary (tokens)",
}


_ENDINGS = {
    "updates": "all that were planned",
    "steps": "all that were planned",
    "kl_budget": "stopped at the KL budget",
    "held_out_reward": "stopped because the held-out reward rose no more",
}


def kind_words(kind: str) -> str:
    return KINDS.get(kind, _plain(kind))


def phase_words(phase: str) -> str:
    for pattern, words in _PHASES:
        found = re.fullmatch(pattern, phase)
        if found:
            return found.expand(words)
    return _plain(phase)


def figure_words(name: str) -> str:
    """A metric or result by name and unit: `kl_k1` is "KL to the reference, k1 (nats an answer)"."""
    if name.endswith("_gb"):
        return f"{_plain(name.removesuffix('_gb'))} (GB)"
    return _FIGURES.get(name, _plain(name))


def ending_words(stopped_by: str) -> str:
    """Why a training of a policy ended, as the end of a sentence: "14 updates, ..."."""
    alarm = ALARM_NAMES.get(stopped_by)
    return (
        f"stopped by the alarm “{alarm}”" if alarm else _ENDINGS.get(stopped_by, _plain(stopped_by))
    )


def _plain(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
