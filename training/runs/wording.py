"""What people call the programs, their phases and their figures: machine names never reach a page."""

from __future__ import annotations

import re

from training.contracts import JobStanding

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
    (r"job (submitting|queued|preempted)", "Waiting for the scheduler"),
    (r"job running", "The job has begun"),
    (r"job (ending|ended|lost)", "The job is over"),
    (r"fetch", "Fetching inputs from the artifact store"),
    (r"send", "Sending results to the artifact store"),
    (r"resume", "Going on from the last checkpoint"),
    (r"memory", "Estimating the memory"),
    (r"texts", "Reading the texts"),
    (r"preflight", "Checking the order"),
    (r"train (\d+)/(\d+)", r"Training, part \1 of \2"),
    (r"(train|validate) member_(\d+)", r"Training ensemble member \2"),
    (r"(train|validate) held_out", "Training the held-out reward model"),
    (r"train", "Training"),
    (r"validate", "Validating"),
    (r"ppo|dpo|best_of_n", "Training the policy"),
    (r"measure|evaluate", "Measuring"),
    (r"reference( cloud)?", "Reading what the reference writes"),
    (r"off policy", "Weighing pairs by who wrote them"),
    (r"divergence", "Measuring the KL"),
    (r"best_of_n_curve", "Measuring best-of-n"),
    (r"reward_matrix", "Scoring with the reward models of earlier rounds"),
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
    "both_bad": "Pairs marked both bad",
    "capped_pairs": "Pairs whose weight was cut at the cap",
    "clip_fraction": "Clipped tokens (share)",
    "cloud_shrinkage": "Shrinkage of the reference's cloud (share)",
    "completions": "Answers written",
    "cut_rows": "Rows cut at the length limit",
    "cut_texts": "Texts cut at the length limit",
    "distinct_2": "Distinct word pairs (share)",
    "dropped_rows": "Rows dropped as too long, or alike as tokens",
    "ece": "Calibration error",
    "ece_calibrated": "Calibration error, after temperature",
    "effective_pairs": "Pairs that the weighed ones count as",
    "effective_share": "Pairs that the weighed ones count as (share)",
    "ended": "Answers that ended by themselves",
    "ended_share": "Answers that ended by themselves (share)",
    "ensemble_std": "Disagreement of the ensemble (z)",
    "entropy": "Entropy (nats a token)",
    "eos_rate": "Answers that ended by themselves (share)",
    "grad_norm": "Gradient norm",
    "explored_log_prob": "Log-probability of the reference's answers (nats)",
    "groups": "Groups of prompts",
    "held_out_gain": "Held-out reward gained (z)",
    "kl_exact": "KL to the reference, exact (nats an answer)",
    "kl_k1": "KL to the reference, k1 (nats an answer)",
    "kl_k3": "KL to the reference, k3 (nats an answer)",
    "kl_moving": "KL to the moving reference (nats an answer)",
    "kl_reference": "KL to the reference (nats an answer)",
    "known_pairs": "Training pairs whose writer is known",
    "largest_factor": "Largest factor on a pair's weight",
    "learning_rate": "Learning rate",
    "length_baseline": "Accuracy of choosing by length",
    "length_ratio": "Length against the incumbent (ratio)",
    "length_warning": "Lengths",
    "loss": "Loss",
    "mean_tokens": "Mean length (tokens)",
    "members": "Members of the ensemble",
    "nll": "Negative log-likelihood (nats a pair)",
    "nll_calibrated": "Negative log-likelihood, after temperature (nats a pair)",
    "optimizer_steps": "Optimiser steps",
    "outlier_share": "Texts outside the reference's (share)",
    "pairs": "Pairs",
    "parameters": "Parameters",
    "policy_loss": "Policy loss",
    "prompts": "Prompts",
    "reference": "Scale of the reward taken from",
    "reference_point": "KTO's point, where nothing was taught (nats an answer)",
    "reference_texts": "Texts that the scale is taken from",
    "repeated": "Answers written twice",
    "repetition": "Repetition (share)",
    "response_length": "Answer length (tokens)",
    "reward_held_out": "Held-out reward (z)",
    "reward_held_out_raw": "Held-out reward, unscaled",
    "reward_shaped": "Shaped reward (what is paid)",
    "reward_train": "Training reward (z)",
    "reward_train_raw": "Training reward, unscaled",
    "reward_verifier": "Verifier (mean of what it says)",
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
    "unknown_pairs": "Training pairs whose writer is not known",
    "updates": "Updates",
    "updates_run": "Updates run",
    "validation_examples": "Validation examples",
    "validation_loss": "Validation loss (nats a token)",
    "value_clip_fraction": "Clipped values (share)",
    "value_explained_variance": "Explained variance of the values",
    "value_grad_norm": "Gradient norm of the value model",
    "value_loss": "Value loss",
    "verifier_failures": "Completions that the verifier failed on (share)",
    "vocabulary": "Vocabulary (tokens)",
}


_ENDINGS = {
    "updates": "all that were planned",
    "steps": "all that were planned",
    "kl_budget": "stopped at the KL budget",
    "held_out_reward": "stopped because the held-out reward rose no more",
}


_REASONS = {
    "Resources": "it waits for free nodes",
    "Priority": "jobs of higher priority come first",
    "BeginTime": "it may begin again in a moment",
    "PartitionTimeLimit": "it asks for more time than the partition gives; change its time",
    "PartitionNodeLimit": "it asks for more than the partition has; change its resources",
    "ReqNodeNotAvail": "nodes that it needs are not available",
    "JobHeldAdmin": "an administrator holds it",
    "JobHeldUser": "it is held; scontrol release lets it go",
    "Licenses": "it waits for a licence",
    "Dependency": "it waits for another job",
    "Suspended": "its queue has not admitted it yet",
    "Unschedulable": "no node has room for it",
    "ContainerCreating": "its image and volume are brought to its node",
    "ImagePullBackOff": "its image cannot be pulled; mend its name, or the cluster's way to the registry",
    "ErrImagePull": "its image cannot be pulled; mend its name, or the cluster's way to the registry",
    "InvalidImageName": "its image has a name that is none; mend it in the plan",
    "CreateContainerConfigError": "its container cannot be made as it is asked for",
    "PreemptionByScheduler": "a pod of higher priority has its place",
    "EvictionByEvictionAPI": "its node is being emptied",
    "DeletionByTaintManager": "its node is out of order",
    "TerminationByKubelet": "its node is going down or short of room",
    "OOMKilled": "it needed more memory than it had asked for",
    "DeadlineExceeded": "its time was over",
}
"""By the first word of the reason that a scheduler gives; Slurm's, then Kubernetes' and Kueue's."""


def job_words(standing: JobStanding, job_id: str, scheduler: str) -> str:
    """How the job of a scheduler (by its title) stands, in a sentence; moments are left to the page."""
    job = f"{scheduler} job {job_id}" if job_id else "The job"
    at = f" on {standing.where}" if standing.where else ""
    reason = _REASONS.get(standing.reason.split(":")[0], "")
    why = f": {reason} ({standing.reason})" if reason else ""
    if not why and standing.reason:
        why = f" ({standing.reason})"
    words = {
        "submitting": f"{job} is being handed to {scheduler}",
        "queued": f"{job} waits in the queue{f' of {standing.where}' if standing.where else ''}{why}",
        "running": f"{job} runs{at}",
        "preempted": f"{job} was taken off its node and is queued again{why}",
        "ending": f"{job} is over{why}; its exit code is awaited",
        "lost": f"{job} is lost{why}",
        "ended": f"{job} has ended",
    }
    return words[standing.phase] + "."


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
