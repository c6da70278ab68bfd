"""One stored rollout, three programs: this one, TRL's PPO trainer, and plain NumPy in float64.

    python -m benchmarks.ppo_equivalence [--seed 5] [--keep DIRECTORY]

TRL (`trl==1.12.0`, the last release with PPO) runs its own trainer in an environment of its own. Two
of its conventions are matched, not changed there: the score is given one position after the end token
(and the value of that position is learned), and advantages are whitened over one process's batch.
Against NumPy (`tests/support/ppo_numpy.py`, loops over tokens from the formulas alone) the product runs
with its own conventions. Prints the largest absolute difference of every quantity, writes
benchmarks/results/ppo_equivalence.json, and exits 1 above 1e-5.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from benchmarks.peers import peer_python, results_write, versions
from tests.support import ppo_numpy
from training.core.data.sequences import pack_sequences
from training.core.model.actor_critic import ActorCritic
from training.core.model.logprobs import token_log_probs
from training.core.ppo import losses
from training.core.ppo.advantages import estimate_advantages, whiten
from training.core.ppo.experience import build_experience
from training.core.reward.forward import score_rows
from training.core.rollout import kl, rewarding
from training.core.rollout.episodes import Episodes, TokenTables, score_tokens

LIMIT = 1e-5
PAD, END = 0, 1
ROWS, WIDTH, VOCABULARY = 8, 9, 40
SETTINGS: dict[str, Any] = {
    "temperature": 0.8, "beta": 0.11, "gamma": 0.97, "gae_lambda": 0.9, "clip_range": 0.2,
    "value_clip_range": 0.2, "value_coefficient": 0.4, "missing_eos_penalty": 0.7, "epochs": 3,
    "mini_batches": 2, "learning_rate": 3e-3, "response_length": WIDTH,
}  # fmt: skip
Differences = dict[str, tuple[float, float]]  # largest difference, largest size


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="keep the rollout and TRL's figures here")
    arguments = parser.parse_args()
    transformers_logging.disable_progress_bar()
    python = peer_python("trl-1.12.0", ["trl==1.12.0"])
    with contextlib.ExitStack() as stack:
        work = arguments.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        prepare(work, arguments.seed)
        command = [str(python), "-m", "benchmarks.peer_trl_equivalence", str(work)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(done.stdout + done.stderr)
        differences = {"trl": against_trl(work), "numpy": against_numpy(work)}
    report(differences, arguments.seed, python)


# ------------------------------------------------------------------------- the rollout


def prepare(work: Path, seed: int) -> None:
    """Four different small networks, and completions sampled by nobody: any tokens will do."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, num_labels=1,
        pad_token_id=PAD, eos_token_id=END, bos_token_id=None, initializer_range=0.15,
    )  # fmt: skip
    policy = LlamaForCausalLM(config)
    policy.save_pretrained(work / "policy")
    reference = LlamaForCausalLM(config)
    with torch.no_grad():  # near the policy, as after some updates
        for own, other in zip(reference.parameters(), policy.parameters(), strict=True):
            own.copy_(other + 0.02 * own)
    reference.save_pretrained(work / "reference")
    for name in ("reward", "value"):
        LlamaForSequenceClassification(config).save_pretrained(work / name)
    tokenizer_make().save_pretrained(work / "tokenizer")
    store_rollout(work, policy, seed)
    (work / "settings.json").write_text(json.dumps(SETTINGS | {"seed": seed}))


def tokenizer_make() -> PreTrainedTokenizerFast:
    words = ["<pad>", "<eos>", "<unk>"] + [f"w{i}" for i in range(VOCABULARY - 3)]
    vocabulary = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>",
        padding_side="left",
    )  # fmt: skip


def store_rollout(work: Path, policy: Any, seed: int) -> None:
    """Prompts of different lengths; responses that end early, at the last position, and never."""
    rng = np.random.default_rng(seed)
    queries = np.full((ROWS, 6), PAD)
    for row, length in enumerate(rng.integers(2, 7, size=ROWS)):
        queries[row, 6 - length :] = rng.integers(3, VOCABULARY, size=length)
    responses = rng.integers(3, VOCABULARY, size=(ROWS, WIDTH))
    for row, position in enumerate([None, WIDTH - 1, 0, WIDTH - 2, 3, 4, 6, 2]):
        if position is not None:
            responses[row, position] = END
    tokens = torch.from_numpy(np.concatenate([queries, responses], axis=1))
    mask = (tokens != PAD).long()
    with torch.no_grad():
        logits = policy(
            input_ids=tokens, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp_min(0)
        ).logits[:, 5:-1]
    np.savez(
        work / "rollout.npz", queries=queries, responses=responses, policy_logits=logits.numpy()
    )


@dataclass(frozen=True)
class Stored:
    """The rollout in a given order of rows, and the networks that score it."""

    prompts: list[list[int]]
    responses: np.ndarray  # [B, R]; tokens go on after the end
    lengths: list[int]  # through the end token
    ended: list[bool]
    actor: ActorCritic
    reference: Any
    reward: Any

    def episodes(self, *, one_more: bool) -> Episodes:
        """The completions; with `one_more` the token after the end too, where there is one."""
        sizes = [min(n + one_more, self.responses.shape[1]) for n in self.lengths]
        rows = [list(row[:n]) for row, n in zip(self.responses.tolist(), sizes, strict=True)]
        return Episodes(self.prompts, rows, self.ended, [""] * len(rows))

    def tables(self, episodes: Episodes) -> TokenTables:
        return score_tokens(
            self.actor, self.reference, episodes, temperature=SETTINGS["temperature"], pad_id=PAD,
            batch_size=4, exact_rollouts=ROWS, device=torch.device("cpu"),
        )  # fmt: skip

    def scores(self) -> Tensor:
        rows = [
            p + r
            for p, r in zip(self.prompts, self.episodes(one_more=False).responses, strict=True)
        ]
        with torch.no_grad():
            return score_rows(self.reward, rows, PAD)


def stored_read(work: Path, order: Any) -> Stored:
    rollout = np.load(work / "rollout.npz")
    responses = rollout["responses"][order]
    ends = [np.flatnonzero(row == END) for row in responses]
    classifier = AutoModelForSequenceClassification.from_pretrained
    policy = AutoModelForCausalLM.from_pretrained(work / "policy")
    return Stored(
        prompts=[[t for t in row if t != PAD] for row in rollout["queries"][order].tolist()],
        responses=responses,
        lengths=[int(end[0]) + 1 if len(end) else WIDTH for end in ends],
        ended=[len(end) > 0 for end in ends],
        actor=ActorCritic.from_reward_model(policy, classifier(work / "value"), mean=0.0, std=1.0),
        reference=AutoModelForCausalLM.from_pretrained(work / "reference").eval(),
        reward=classifier(work / "reward").eval(),
    )


def left(table: Tensor, lengths: list[int]) -> np.ndarray:
    """[B, R] with every row moved to the left end and 0 behind it, as the others store it."""
    result = np.zeros((len(lengths), WIDTH))
    for row, length in enumerate(lengths):
        result[row, :length] = table[row, table.shape[1] - length :].detach().numpy()
    return result


def apart(ours: Any, theirs: Any) -> tuple[float, float]:
    """The largest difference, and the largest number among theirs: a difference from nothing shows."""
    a, b = np.asarray(ours, dtype=float), np.asarray(theirs, dtype=float)
    assert a.shape == b.shape, (a.shape, b.shape)
    return float(np.abs(a - b).max()), float(np.abs(b).max())


# ------------------------------------------------------------------------ against TRL


def against_trl(work: Path) -> Differences:
    theirs = dict(np.load(work / "trl.npz"))
    stored = stored_read(work, theirs["order"])
    episodes = stored.episodes(one_more=True)
    lengths = [len(response) for response in episodes.responses]
    tables, scores = stored.tables(episodes), stored.scores()
    # One position more for values and rewards (`reached`) than for tokens of the policy (`mask`).
    reached = episodes.response_mask(torch.device("cpu"))
    mask = reached.clone()
    for row, (length, own) in enumerate(zip(lengths, stored.lengths, strict=True)):
        mask[row, -1] = length == own
    log_ratio = kl.k1(tables.log_probs, tables.reference_log_probs).masked_fill(~mask, 0)
    given = rewarding.penalise_missing_eos(
        scores, torch.tensor(stored.ended), penalty=SETTINGS["missing_eos_penalty"]
    )
    shaped = rewarding.shape_rewards(given, log_ratio, reached, beta=SETTINGS["beta"])
    estimated = estimate_advantages(
        shaped, tables.values, reached, gamma=SETTINGS["gamma"], gae_lambda=SETTINGS["gae_lambda"]
    )
    whitened = whiten(estimated.advantages, mask)
    hidden = theirs["padding_mask"]
    found = {
        "scores": apart(given, theirs["scores"]),
        "log-probabilities": apart(
            left(tables.log_probs.masked_fill(~mask, 0), lengths),
            np.where(hidden, 0, theirs["logprobs"]),
        ),
        "reference log-probabilities": apart(
            left(tables.reference_log_probs.masked_fill(~mask, 0), lengths),
            np.where(hidden, 0, theirs["ref_logprobs"]),
        ),
        "KL per token": apart(left(log_ratio, lengths), theirs["kl"]),
        "values": apart(left(tables.values, lengths), theirs["values"]),
        "rewards per token": apart(left(shaped, lengths), theirs["rewards"]),
        "returns": apart(
            left(estimated.returns, lengths),
            np.where(theirs["padding_mask_p1"], 0, theirs["returns"]),
        ),
        "advantages, whitened": apart(left(whitened, lengths), theirs["advantages"]),
    }
    for number in range(int(theirs["passes"])):
        found |= one_pass(
            number, theirs, stored, episodes, tables, whitened, estimated.returns, mask
        )
    return found


def one_pass(
    number: int,
    theirs: dict[str, Any],
    stored: Stored,
    episodes: Episodes,
    tables: TokenTables,
    advantages: Tensor,
    returns: Tensor,
    mask: Tensor,
) -> Differences:
    """Losses and gradients of one mini-batch, at the weights that TRL had there."""
    actor = stored.actor
    weights_take(actor, theirs, f"{number}/weight/")
    rows = theirs[f"{number}/rows"].tolist()
    batch = pack_sequences(
        [episodes.prompts[row] for row in rows],
        [episodes.responses[row] for row in rows],
        pad_id=PAD,
        device=torch.device("cpu"),
    )
    width = batch.mask.shape[1]
    actor.zero_grad()
    result = actor(batch, temperature=SETTINGS["temperature"])
    own = mask[rows, -width:]
    policy = losses.policy_loss(
        result.log_probs, tables.log_probs[rows, -width:], advantages[rows, -width:], own,
        clip_range=SETTINGS["clip_range"], tokens=own.sum(),
    )  # fmt: skip
    value = losses.value_loss(
        result.values, tables.values[rows, -width:], returns[rows, -width:], batch.mask,
        clip_range=SETTINGS["value_clip_range"], tokens=batch.mask.sum(),
    )  # fmt: skip
    (policy.loss + SETTINGS["value_coefficient"] * value.loss).backward()
    gradients = [
        apart(parameter.grad, theirs[f"{number}/gradient/{name}"])
        for name, parameter in named(actor, theirs, f"{number}/gradient/")
    ]
    clipped = f"{int(policy.clipped)} + {int(value.clipped)} tokens at the clips"
    return {
        f"policy loss, step {number + 1}": apart(
            policy.loss.item(), theirs[f"{number}/policy_loss"]
        ),
        f"value loss, step {number + 1}": apart(value.loss.item(), theirs[f"{number}/value_loss"]),
        f"{len(gradients)} gradients, step {number + 1} ({clipped})": (
            max(difference for difference, _ in gradients),
            max(size for _, size in gradients),
        ),
    }


def named(actor: ActorCritic, theirs: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    """Every parameter of TRL's wrapper with the one that it is here; none may be left over."""
    ours: dict[str, Any] = {f"policy.{n}": p for n, p in actor.policy.named_parameters()}
    assert actor.critic is not None
    ours |= {f"value_model.model.{n}": p for n, p in actor.critic.named_parameters()}
    ours["value_model.score.weight"] = actor.head.weight
    names = [key.removeprefix(prefix) for key in theirs if key.startswith(prefix)]
    assert set(names) == set(ours), sorted(set(names) ^ set(ours))
    return [(name, ours[name]) for name in names]


@torch.no_grad()
def weights_take(actor: ActorCritic, theirs: dict[str, Any], prefix: str) -> None:
    for name, parameter in named(actor, theirs, prefix):
        parameter.copy_(torch.from_numpy(theirs[prefix + name]))


# ---------------------------------------------------------------------- against NumPy


def against_numpy(work: Path) -> Differences:
    """The product's own conventions: rewards end with the last token, one mask for everything."""
    theirs = dict(np.load(work / "trl.npz"))
    stored = stored_read(work, np.arange(ROWS))
    episodes = stored.episodes(one_more=False)
    tables, scores = stored.tables(episodes), stored.scores()
    made = build_experience(
        episodes, tables, scores, beta=SETTINGS["beta"], gamma=SETTINGS["gamma"],
        gae_lambda=SETTINGS["gae_lambda"], missing_eos_penalty=SETTINGS["missing_eos_penalty"],
        whiten_advantages=True,
    )  # fmt: skip
    names = set(ppo_numpy.Settings.__dataclass_fields__)
    settings = ppo_numpy.Settings(**{k: v for k, v in SETTINGS.items() if k in names})
    rollout = ppo_numpy.StoredRollout(
        tokens=stored.responses,
        lengths=stored.lengths,
        ended=stored.ended,
        scores=[float(s) for s in scores],
        policy_logits=whole_logits(stored.actor.policy, stored),
        reference_logits=whole_logits(stored.reference, stored),
        values=left(tables.values, stored.lengths),
    )
    chain = ppo_numpy.chain(rollout, settings)
    log_ratio = (tables.log_probs, tables.reference_log_probs)
    pairs = {
        "log-probabilities": (tables.log_probs, chain.log_probs),
        "reference log-probabilities": (tables.reference_log_probs, chain.reference_log_probs),
        "entropy": (tables.entropy, chain.entropy),
        "KL per token (k1)": (kl.k1(*log_ratio), chain.k1),
        "KL per token (k3)": (kl.k3(*log_ratio), chain.k3),
        "exact KL": (tables.exact_kl, chain.exact_kl),
        "returns": (made.returns, chain.advantages + rollout.values),
        "advantages, whitened": (made.advantages, chain.whitened),
    }
    found = {
        name: apart(left(a, stored.lengths), _inside(b, stored)) for name, (a, b) in pairs.items()
    }
    last = int(theirs["passes"]) - 1
    weights_take(stored.actor, theirs, f"{last}/weight/")
    return found | numpy_losses(stored, made, rollout, chain, settings)


def numpy_losses(
    stored: Stored, made: Any, rollout: Any, chain: Any, settings: ppo_numpy.Settings
) -> Differences:
    """Both losses after some steps, and their gradients by central differences in float64."""
    batch = pack_sequences(
        made.prompts, made.responses, pad_id=PAD, device=torch.device("cpu")
    )  # every row in one rectangle
    with torch.no_grad():
        logits, values = stored.actor.logits_and_values(batch)
    logits, values = logits.clone().requires_grad_(), values.clone().requires_grad_()
    tokens = sum(stored.lengths)
    policy = losses.policy_loss(
        token_log_probs(logits, batch.responses, temperature=settings.temperature),
        made.log_probs, made.advantages, batch.mask, clip_range=settings.clip_range, tokens=tokens,
    )  # fmt: skip
    value = losses.value_loss(
        values, made.values, made.returns, batch.mask,
        clip_range=settings.value_clip_range, tokens=tokens,
    )  # fmt: skip
    torch.autograd.backward(policy.loss + value.loss)
    moved, moved_values = cube_left(logits, stored.lengths), left(values, stored.lengths)
    expected = ppo_numpy.policy_loss(moved, rollout, chain, settings)[0]
    slope = ppo_numpy.gradient(
        lambda z: ppo_numpy.policy_loss(z, rollout, chain, settings)[0], moved
    )
    value_slope = ppo_numpy.gradient(
        lambda v: ppo_numpy.value_loss(v, rollout, chain, settings), moved_values
    )
    expected_value = ppo_numpy.value_loss(moved_values, rollout, chain, settings)
    return {
        "policy loss": apart(policy.loss.item(), expected),
        "value loss": apart(value.loss.item(), expected_value),
        "gradient at every logit": apart(cube_left(logits.grad, stored.lengths), slope),
        "gradient at every value": apart(left(_grad(values), stored.lengths), value_slope),
    }


def _grad(values: Tensor) -> Tensor:
    assert values.grad is not None
    return values.grad


def cube_left(cube: Tensor | None, lengths: list[int]) -> np.ndarray:
    """[B, R, V] with every row moved to the left end."""
    assert cube is not None
    parts = [left(cube[..., token], lengths) for token in range(cube.shape[-1])]
    return np.stack(parts, axis=-1)


def _inside(table: np.ndarray, stored: Stored) -> np.ndarray:
    columns = np.arange(WIDTH)[None]
    return np.where(columns < np.array(stored.lengths)[:, None], table, 0.0)


def whole_logits(model: Any, stored: Stored) -> np.ndarray:
    """[B, R, V] by one plain pass over each row alone: no padding, no trimming, float64 after it."""
    result = np.zeros((len(stored.prompts), WIDTH, VOCABULARY))
    for row, prompt in enumerate(stored.prompts):
        ids = torch.tensor([prompt + stored.responses[row].tolist()])
        with torch.no_grad():
            result[row] = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].double().numpy()
    return result


# ----------------------------------------------------------------------------- report


def report(differences: dict[str, Differences], seed: int, python: Path) -> None:
    titles = {"trl": "trl 1.12.0, its own trainer", "numpy": "NumPy in float64"}
    worst = 0.0
    for name, rows in differences.items():
        print(
            f"\n{'Largest absolute difference from ' + titles[name]:<58}{'apart':>10}{'size':>10}"
        )
        for what, (difference, size) in rows.items():
            mark = "" if difference <= LIMIT else "  ABOVE THE LIMIT"
            print(f"  {what:<56}{difference:>10.1e}{size:>10.1e}{mark}")
            worst = max(worst, difference) if difference == difference else float("inf")
    print(f"\nworst {worst:.1e}, limit {LIMIT:.0e}")
    document = {
        "seed": seed,
        "settings": SETTINGS,
        "versions": versions(python, ["trl", "torch", "transformers", "numpy"]),
        "limit": LIMIT,
        "worst": worst,
        "differences": differences,
    }
    print(f"written to {results_write('ppo_equivalence', document)}")
    raise SystemExit(0 if worst <= LIMIT else 1)


if __name__ == "__main__":
    main()
