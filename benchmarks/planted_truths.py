"""Planted truths: what is hidden in made-up labels must be found again by the reward recipe.

    OMP_NUM_THREADS=1 python -m benchmarks.planted_truths [--seeds 201 ... 210] [--pairs 5000]

Every word has a hidden worth and a text is worth the sum of its words; people choose by Bradley and
Terry 1952. The recipe, its losses, its artifact and its loader are the real ones. Only the model is
made for this: it counts words and weighs them, so that nothing but the recipe stands between labels
and truth. Sizes and checks were fixed on other seeds; the default seeds were not looked at before that, so the
whole of a run on them counts. Prints one row per seed, writes
benchmarks/results/planted_truths.json, and exits 1 where a truth is not found. Its seconds are those of
one thread that had to share the machine.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from scipy.stats import spearmanr
from scipy.stats import t as student_t
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from benchmarks.results_file import result_head
from tests.support.tiny_models import json_lines, write_spec
from training.contracts import RewardModelConfig
from training.core.data.tokenizers import word_tokenizer_learn
from training.core.reward.scoring import RewardModel, reward_model_load
from training.core.run.run_directory import recipe_main
from training.recipes import reward_model

RESULT = Path(__file__).parent / "results" / "planted_truths.json"
WORDS = [first + second for first in "bdgklmnrst" for second in ("ab", "el", "im", "op")]
TEXT_WORDS = 8
WORTH = 0.5  # standard deviation of a word's worth; pairs then differ by 2 (in log-odds) typically
HELD_OUT = 0.25
TEMPERATURE, TIE_ETA = 2.0, 0.8
RATERS, VOTES, NOISE = 20, 3, 0.25
TEST_TEXTS = 1500
SHARE = 0.4  # of the pairs, for ties and for noise
# Validation pairs of the member. A fitted temperature has a relative standard error of about 1 / sqrt(0.15 n)
# here (each pair tells p (1 - p) z^2 of a log-odds z of about 1): 3 % with these, 8 % with 1,000.
CHECKED = 8000
SEEN = 24_000  # pairs that a training sees at least, over its epochs: fewer end before the optimum
RATE = 0.03

Row = dict[str, Any]


class Interval(NamedTuple):
    mean: float
    low: float
    high: float


# ------------------------------------------------------------------ a model of words


class WordCountsConfig(PretrainedConfig):  # type: ignore[misc]
    model_type = "word_counts"

    def __init__(self, vocab_size: int = 1, **rest: Any) -> None:
        self.vocab_size = self.hidden_size = vocab_size
        self.num_hidden_layers, self.num_attention_heads = 0, 1  # for the estimate of memory
        super().__init__(**rest)


class WordCounts(PreTrainedModel):  # type: ignore[misc]
    """score = sum over the tokens of one weight per token: linear in the word counts."""

    config_class = WordCountsConfig

    def __init__(self, config: WordCountsConfig) -> None:
        super().__init__(config)
        self.words = nn.Embedding(config.vocab_size, config.vocab_size)
        self.score = nn.Linear(config.vocab_size, 1, bias=False)
        self.post_init()
        with torch.no_grad():
            self.words.weight.copy_(torch.eye(config.vocab_size))
        self.words.weight.requires_grad_(False)  # one word, one count

    def get_input_embeddings(self) -> nn.Embedding:
        return self.words

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, **_: Any
    ) -> SequenceClassifierOutput:
        counts = nn.functional.embedding_bag(
            input_ids,
            self.words.weight,
            mode="sum",
            per_sample_weights=attention_mask.to(self.words.weight.dtype),
        )
        return SequenceClassifierOutput(logits=self.score(counts))


def backbone_write(path: Path) -> Path:
    AutoConfig.register("word_counts", WordCountsConfig, exist_ok=True)
    AutoModelForSequenceClassification.register(WordCountsConfig, WordCounts, exist_ok=True)
    tokenizer = word_tokenizer_learn([" ".join(WORDS), "?"], limit=400)
    tokenizer.chat_template = None  # plain texts: nothing but words is counted
    WordCounts(WordCountsConfig(len(tokenizer))).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


# ------------------------------------------------------------------ planted labels


@dataclass(frozen=True)
class World:
    """The hidden worth of every word."""

    worth: dict[str, float]

    @classmethod
    def drawn(cls, generator: random.Random) -> World:
        return cls({word: generator.gauss(0, WORTH) for word in WORDS})

    def utility(self, text: str) -> float:
        return sum(self.worth[word] for word in text.split())

    def difference(self, row: Row) -> float:
        first, second = row["completions"]
        return self.utility(first) - self.utility(second)


def pairs_drawn(generator: random.Random, split: str, count: int) -> list[Row]:
    """Unlabelled pairs of random texts; every pair is a group of its own."""

    def text() -> str:
        return " ".join(generator.choices(WORDS, k=TEXT_WORDS))

    return [
        {
            "id": f"{split} {i}",
            "group": f"{split} {i}",
            "messages": [{"role": "user", "content": "?"}],
            "completions": [text(), text()],
            "preference": 0.5,
            "split": split,
        }
        for i in range(count)
    ]


def chosen(world: World, rows: Sequence[Row], generator: random.Random) -> list[Row]:
    """Each pair judged once: completion 0 wins with probability sigmoid(u)."""
    return [
        row | {"preference": float(generator.random() < sigmoid(world.difference(row)))}
        for row in rows
    ]


def known(world: World, rows: Sequence[Row], *, temperature: float = 1.0) -> list[Row]:
    """Each pair judged by so many people that the share of their votes is the probability."""
    return [row | {"preference": sigmoid(world.difference(row) / temperature)} for row in rows]


def tied(world: World, rows: Sequence[Row], generator: random.Random) -> list[Row]:
    """Each pair judged once by Rao and Kupper 1967: win, tie or loss."""
    found = []
    for row in rows:
        difference, draw = world.difference(row), generator.random()
        win, loss = sigmoid(difference - TIE_ETA), sigmoid(-difference - TIE_ETA)
        preference = 1.0 if draw < win else 0.0 if draw < win + loss else 0.5
        found.append(row | {"preference": preference})
    return found


def voted(rows: Sequence[Row], generator: random.Random) -> list[Row]:
    """Three votes on each judged pair, by raters who turn a label round; together 25 % of the time.

    One rater errs in 2 % of the votes, another in nearly half of them.
    """
    errors = [0.02 + (2 * NOISE - 0.04) * i / (RATERS - 1) for i in range(RATERS)]
    found = []
    for row in rows:
        for rater in generator.sample(range(RATERS), VOTES):
            wrong = generator.random() < errors[rater]
            vote = 1 - row["preference"] if wrong else row["preference"]
            found.append(row | {"preference": vote, "rater": f"rater {rater}"})
    return found


def majority(votes: Sequence[Row]) -> list[Row]:
    """One hard label per pair: what most of its voters said."""
    groups = [votes[i : i + VOTES] for i in range(0, len(votes), VOTES)]
    return [
        group[0] | {"preference": float(sum(v["preference"] for v in group) > VOTES / 2)}
        for group in groups
    ]


def pairs_of(rows: Sequence[Row]) -> int:
    """Different training pairs, however many votes each has."""
    return len({row["id"] for row in rows if row["split"] == "train"})


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


# ------------------------------------------------------------------ finding them again


@dataclass(frozen=True)
class Bench:
    """One seed's world, and where its runs go."""

    root: Path
    backbone: Path
    world: World
    tests: list[Row]
    seed: int

    def train(self, name: str, rows: list[Row], **changes: Any) -> RewardModel:
        """Run the recipe on `rows`; the artifact, loaded as PPO would load it."""
        data = json_lines(self.root / f"{name}.jsonl", [*rows, *self.tests[:20]])
        settings: dict[str, Any] = {
            "backbone": {"kind": "pretrained", "name": str(self.backbone)},
            "members": 1,
            "held_out_share": HELD_OUT,
            "epochs": max(4, SEEN // pairs_of(rows)),
            "learning_rate": RATE,
            "weight_decay": 0.0,
            "log_every": 1000,
            "checkpoint_every": 100_000,
        }
        inputs = {"preferences": data}
        order = write_spec(
            self.root / name, "reward_model", settings | changes, inputs, seed=self.seed
        )
        if recipe_main(reward_model.main, "reward_model", RewardModelConfig, [str(order)]) != 0:
            raise SystemExit(f"The run {name} failed; see above.")
        return reward_model_load(order.parent / "reward_model")

    def differences(self, model: RewardModel) -> Tensor:
        texts = [(row["messages"], text) for row in self.tests for text in row["completions"]]
        first, second = model.score(texts).raw.mean(0).double().view(-1, 2).unbind(1)
        return first - second

    def spearman(self, model: RewardModel) -> float:
        """Rank correlation of scores with utilities on texts that nobody judged."""
        texts = [text for row in self.tests for text in row["completions"]]
        scores = model.score([(self.tests[0]["messages"], text) for text in texts]).raw.mean(0)
        return float(spearmanr(scores, [self.world.utility(text) for text in texts]).statistic)

    def excess_nll(self, model: RewardModel, *, calibrated: bool = True) -> float:
        """Nats a pair above what the true probabilities cost (the Kullback-Leibler divergence)."""
        found = model.win_log_odds(self.differences(model), calibrated=calibrated)
        truth = torch.tensor(
            [self.world.difference(row) for row in self.tests], dtype=torch.float64
        )
        p = torch.sigmoid(truth)
        log = nn.functional.logsigmoid
        cost = p * (log(truth) - log(found)) + (1 - p) * (log(-truth) - log(-found))
        return float(cost.mean())


@dataclass(frozen=True)
class Found:
    """One seed; `noise` holds by kind of label the `cost` in nats, the same `uncalibrated`, and the
    `spearman`. Costs are those on true preferences above what labels without noise cost.
    """

    seed: int
    spearman: float
    spearman_swapped: float
    temperature: float
    tie_eta: float
    noise: dict[str, dict[str, float]]


def seed_measure(seed: int, pairs: int, root: Path) -> Found:
    """All planted truths of one seed; `pairs` is what the member learns from."""
    generator = random.Random(seed)
    world = World.drawn(generator)
    tests = chosen(world, pairs_drawn(generator, "test", TEST_TEXTS // 2), generator)
    bench = Bench(root, backbone_write(root / "words"), world, tests, seed)
    drawn = pairs_drawn(generator, "train", round(pairs / (1 - HELD_OUT)))
    checked = pairs_drawn(generator, "validation", round(CHECKED / (1 - HELD_OUT)))
    judged = chosen(world, drawn, generator)
    plain = bench.train("plain", [*judged, *known(world, checked, temperature=TEMPERATURE)])
    some = round(SHARE * len(drawn))
    swapped = [row | {"preference": 1 - row["preference"]} for row in judged]
    ties = bench.train("ties", tied(world, drawn[:some], generator), ties="rao_kupper")
    return Found(
        seed=seed,
        spearman=bench.spearman(plain),
        spearman_swapped=bench.spearman(bench.train("swapped", swapped)),
        temperature=plain.settings.temperature,
        tie_eta=ties.settings.tie_parameter,
        noise=_noise(bench, judged[:some], known(world, checked), generator),
    )


def _noise(
    bench: Bench, judged: list[Row], checks: list[Row], generator: random.Random
) -> dict[str, dict[str, float]]:
    """The same noisy votes as hard labels and as soft ones, beside the labels without noise.

    Every kind of soft label shrinks the scores, which is what the temperature undoes: so all are
    calibrated on the same pairs before they are compared.
    """
    votes = voted(judged, generator)
    clean = bench.train("clean", [*judged, *checks])
    models = {
        "hard": bench.train("hard", [*majority(votes), *checks]),
        "vote_shares": bench.train("shares", [*votes, *checks], labels="vote_shares"),
        "posterior": bench.train("posterior", [*votes, *checks], labels="posterior"),
    }
    return {
        name: {
            "cost": bench.excess_nll(model) - bench.excess_nll(clean),
            "uncalibrated": bench.excess_nll(model, calibrated=False)
            - bench.excess_nll(clean, calibrated=False),
            "spearman": bench.spearman(model),
        }
        for name, model in {"none": clean, **models}.items()
    }


def savings(found: Sequence[Found]) -> Interval:
    """What soft labels by posteriors save of the cost of noise: the mean over seeds, in nats a pair.

    With Student's 95 % interval of the differences seed by seed; needs two seeds.
    """
    saved = [f.noise["hard"]["cost"] - f.noise["posterior"]["cost"] for f in found]
    mean, error = statistics.mean(saved), statistics.stdev(saved) / math.sqrt(len(saved))
    reach = float(student_t.ppf(0.975, len(saved) - 1)) * error
    return Interval(mean, mean - reach, mean + reach)


def checks(found: Sequence[Found]) -> dict[str, bool]:
    """What must be so: for every seed, and costs of noise over all of them, since those of one seed
    vary by about as much as they differ.
    """
    return {
        "a linear utility is recovered (Spearman >= 0.95)": all(f.spearman >= 0.95 for f in found),
        "swapped labels flip the sign (Spearman <= -0.95)": all(
            f.spearman_swapped <= -0.95 for f in found
        ),
        "temperature 2 is found within 10 %": all(
            abs(f.temperature / TEMPERATURE - 1) <= 0.1 for f in found
        ),
        "the tie threshold 0.8 is found within 10 %": all(
            abs(f.tie_eta / TIE_ETA - 1) <= 0.1 for f in found
        ),
        "25 % noise costs less with soft labels (posteriors) than with hard ones (interval above 0)": (
            savings(found).low > 0
        ),
    }


# ------------------------------------------------------------------ telling


COLUMNS: tuple[tuple[str, str, Callable[[Found], float]], ...] = (
    ("Spearman", ".3f", lambda f: f.spearman),
    ("swapped", ".3f", lambda f: f.spearman_swapped),
    ("T (2)", ".2f", lambda f: f.temperature),
    ("eta (0.8)", ".2f", lambda f: f.tie_eta),
    ("hard", ".4f", lambda f: f.noise["hard"]["cost"]),
    ("shares", ".4f", lambda f: f.noise["vote_shares"]["cost"]),
    ("posterior", ".4f", lambda f: f.noise["posterior"]["cost"]),
    ("S none", ".3f", lambda f: f.noise["none"]["spearman"]),
    ("S hard", ".3f", lambda f: f.noise["hard"]["spearman"]),
    ("S shares", ".3f", lambda f: f.noise["vote_shares"]["spearman"]),
    ("S post.", ".3f", lambda f: f.noise["posterior"]["spearman"]),
)


def table(found: Sequence[Found]) -> str:
    """One row per seed and their means; under the kinds of label the cost of noise in nats a pair."""

    def line(head: str, cells: Iterable[str]) -> str:
        return "  ".join(f"{cell:>9}" for cell in (head, *cells))

    rows = [line(str(f.seed), (f"{read(f):{form}}" for _, form, read in COLUMNS)) for f in found]
    means = (f"{statistics.mean(map(read, found)):{form}}" for _, form, read in COLUMNS)
    return "\n".join([line("seed", (c[0] for c in COLUMNS)), *rows, line("mean", means)])


def result_write(head: dict[str, Any], found: Sequence[Found], pairs: int, seconds: float) -> None:
    document = {
        **head,
        "pairs": pairs,
        "seconds": round(seconds),
        "checks": checks(found) if len(found) > 1 else {},
        "nats saved by posteriors": savings(found)._asdict() if len(found) > 1 else {},
        "seeds": [asdict(f) for f in found],
    }
    RESULT.write_text(json.dumps(document, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(201, 211)))
    parser.add_argument("--pairs", type=int, default=5000)
    arguments = parser.parse_args()
    if len(arguments.seeds) < 2:
        parser.error("name two seeds or more: the interval is one over seeds")
    torch.set_num_threads(1)
    head, started, found = result_head(), time.monotonic(), list[Found]()
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            found.append(seed_measure(seed, arguments.pairs, Path(scratch)))
        print(table(found), flush=True)
        result_write(head, found, arguments.pairs, time.monotonic() - started)
    saved, passed = savings(found), checks(found)
    print(f"posteriors save {saved.mean:.4f} nats a pair ({saved.low:.4f} to {saved.high:.4f})")
    for truth, held in passed.items():
        print(f"{'yes' if held else 'NO '}  {truth}")
    raise SystemExit(0 if all(passed.values()) else 1)


if __name__ == "__main__":
    main()
