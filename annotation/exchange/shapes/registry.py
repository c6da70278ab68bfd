"""The shapes of rows that are understood, the most telling first.

One family a module. `fits` looks at the names of the fields (and the kinds of a few values); what is in
them, `parse` reads through `Fields`, which remembers what was used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from annotation.exchange.records import ImportRow

from . import (
    arena,
    argilla,
    dialogs,
    forums,
    guard,
    helpsteer,
    labelstudio,
    oasst,
    outerloop,
    plain,
    preferences,
    rankings,
    saferlhf,
    ultrafeedback,
    unpaired,
    votes,
)
from .messages import has_prompt
from .tracked import Fields

Raw = Mapping[str, Any]
Parse = Callable[[Fields], list[ImportRow]]
# Of neighbouring rows: the pairs, and by place why a row is not used.
ParseTogether = Callable[[Sequence[Fields]], tuple[list[ImportRow], dict[int, str]]]


@dataclass(frozen=True)
class Together:
    """Neighbouring rows of the same `key` are read as one."""

    key: Callable[[Raw], str]
    parse: ParseTogether


@dataclass(frozen=True)
class Shape:
    """`fits` looks at the fields of a row only; `parse` makes one or more `ImportRow`s, or rejects it.

    `asked` is what suffices where somebody gave the format by name; None is `fits`.
    """

    key: str
    name: str
    judged: bool
    fits: Callable[[Raw], bool]
    parse: Parse | Together
    asked: Callable[[Raw], bool] | None = None


SHAPES: Mapping[str, Shape] = {
    shape.key: shape
    for shape in (
        Shape(
            "outerloop",
            "Outerloop's full export",
            True,
            outerloop.is_full_export,
            outerloop.full_export_row,
        ),
        Shape(
            "votes",
            "a prompt, two completions and named raters' votes",
            True,
            votes.is_votes,
            votes.votes_row,
        ),
        Shape("webgpt", "WebGPT comparisons", True, forums.is_webgpt, forums.webgpt_row),
        Shape(
            "summaries", "summarize-from-feedback", True, forums.is_summaries, forums.summaries_row
        ),
        Shape("shp", "Stanford Human Preferences", True, forums.is_shp, forums.shp_row),
        Shape("saferlhf", "PKU-SafeRLHF", True, saferlhf.is_saferlhf, saferlhf.saferlhf_row),
        Shape(
            "helpsteer2_preference",
            "HelpSteer2's preference file",
            True,
            helpsteer.is_preference_file,
            helpsteer.preference_file_row,
        ),
        Shape("helpsteer3", "HelpSteer3", True, helpsteer.is_helpsteer3, helpsteer.helpsteer3_row),
        Shape(
            "arena",
            "Chatbot Arena conversations, MT-Bench judgments",
            True,
            arena.is_battle,
            arena.battle_row,
        ),
        Shape(
            "arena_55k",
            "Chatbot Arena, prompts and responses as lists",
            True,
            arena.is_prompt_lists,
            arena.prompt_lists_row,
        ),
        Shape(
            "ultrafeedback",
            "UltraFeedback, four rated completions",
            True,
            ultrafeedback.is_ultrafeedback,
            ultrafeedback.ultrafeedback_row,
        ),
        Shape(
            "openai",
            "preferences as OpenAI's fine-tuning takes them",
            True,
            dialogs.is_openai,
            dialogs.openai_row,
        ),
        Shape(
            "sharegpt",
            "ShareGPT conversations with chosen and rejected",
            True,
            dialogs.is_sharegpt,
            dialogs.sharegpt_row,
        ),
        Shape(
            "label_studio", "Label Studio, JSON", True, labelstudio.is_task, labelstudio.task_row
        ),
        Shape(
            "label_studio_min",
            "Label Studio, JSON_MIN or CSV",
            True,
            labelstudio.is_min,
            labelstudio.min_row,
        ),
        Shape("argilla", "Argilla, nested records", True, argilla.is_record, argilla.record_row),
        Shape("argilla_flat", "Argilla 2, columns", True, argilla.is_flat, argilla.flat_row),
        Shape(
            "argilla_columns", "Argilla 1, columns", True, argilla.is_columns, argilla.columns_row
        ),
        Shape("oasst", "OpenAssistant, a tree a row", True, oasst.is_tree, oasst.tree_row),
        Shape(
            "oasst_messages",
            "OpenAssistant, a message a row",
            True,
            oasst.is_message,
            Together(oasst.message_key, oasst.message_rows),
        ),
        Shape(
            "best_of",
            "RewardBench 2: right and wrong completions in lists",
            True,
            rankings.is_best_of,
            rankings.best_of_row,
        ),
        Shape(
            "rankings",
            "more than two completions, ranked or rated (Nectar)",
            True,
            rankings.is_ranking,
            rankings.ranking_row,
        ),
        Shape(
            "completions",
            "three to nine completions of a prompt, to be ranked",
            False,
            rankings.is_unranked,
            rankings.unranked_row,
            asked=rankings.is_listed,
        ),
        Shape(
            "hh",
            "chosen and rejected transcripts (HH-RLHF)",
            True,
            preferences.is_transcripts,
            preferences.transcript_row,
        ),
        Shape(
            "preferences",
            "prompt, chosen, rejected",
            True,
            preferences.is_preference,
            preferences.preference_row,
        ),
        Shape(
            "implicit",
            "chosen and rejected that begin alike, without a prompt",
            True,
            preferences.is_implicit,
            preferences.implicit_row,
        ),
        Shape(
            "winner",
            "a prompt, two completions and the name of the better",
            True,
            votes.is_verdict,
            votes.verdict_row,
        ),
        Shape(
            "helpsteer2",
            "HelpSteer2's ratings, two rows a prompt",
            True,
            helpsteer.is_rated,
            Together(helpsteer.rated_key, helpsteer.rated_rows),
        ),
        Shape(
            "unpaired",
            "prompt, completion, label (TRL, unpaired)",
            True,
            unpaired.is_unpaired,
            Together(unpaired.unpaired_key, unpaired.unpaired_rows),
        ),
        Shape(
            "pairs",
            "a prompt and two completions, not judged",
            False,
            guard.is_pair,
            plain.pair_row,
            asked=guard.has_pair,
        ),
        Shape(
            "prompts", "prompts alone", False, guard.is_prompt, plain.prompt_row, asked=has_prompt
        ),
    )
}
# Names of datasets and tools whose rows have one of the shapes above.
ALIASES: Mapping[str, str] = {
    "hh_rlhf": "hh",
    "trl": "preferences",
    "trl_implicit": "implicit",
    "trl_unpaired": "unpaired",
    "ultrafeedback_binarized": "preferences",
    "skywork": "preferences",
    "rewardbench": "preferences",
    "rewardbench2": "best_of",
    "nectar": "rankings",
    "mt_bench": "arena",
    "pku_saferlhf": "saferlhf",
    "summarize_from_feedback": "summaries",
}
