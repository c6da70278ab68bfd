"""One example of each shape of the field, made up after its public description, and what it must become.

Nothing here is copied from a dataset. Expectations are written by hand.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
Turns = list[tuple[str, str]]


@dataclass(frozen=True)
class Said:
    """A vote: the step from 1 (first text much better) to 7."""

    value: int
    rater: str = "unnamed"
    criteria: dict[str, int] = field(default_factory=dict)
    both_bad: bool = False
    flags: tuple[str, ...] = ()
    rationale: str = ""
    seconds: float | None = None
    at: datetime | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    prompt: str | Turns
    texts: tuple[str, str]
    votes: tuple[Said, ...] = (Said(2),)
    id: str = ""


@dataclass(frozen=True)
class Example:
    """`names` are the shape's key and the names of datasets under which it can be asked for too."""

    names: tuple[str, ...]
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    unused: frozenset[str] = frozenset()


def user(text: str) -> Row:
    return {"role": "user", "content": text}


def assistant(text: str) -> Row:
    return {"role": "assistant", "content": text}


def system(text: str) -> Row:
    return {"role": "system", "content": text}


def turns(*said: str) -> list[Row]:
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]


def human(*said: str) -> str:
    return "".join(f"\n\n{('Human', 'Assistant')[n % 2]}: {text}" for n, text in enumerate(said))


Q, GOOD, BAD = "Why is the sky blue?", "Air scatters blue light most.", "It mirrors the sea."
GREET = ("Hi", "Hello.", "2+2?")
GREETED: Turns = [("user", "Hi"), ("assistant", "Hello."), ("user", "2+2?")]
ONE = Pair(Q, (GOOD, BAD))
BRIEF: Turns = [("system", "Be brief."), ("user", Q)]


def uf(response: str, overall: float, ratings: dict[str, str]) -> Row:
    return {
        "model": "m",
        "response": response,
        "overall_score": overall,
        "custom_system_prompt": "Be honest.",
        "annotations": {
            name: {"Rating": rating, "Rationale": "..."} for name, rating in ratings.items()
        },
    }


FOUR = ("helpfulness", "honesty", "instruction_following", "truthfulness")
EPOCH = 1_700_000_000  # 2023-11-14 22:13:20 UTC
AT = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)

EXAMPLES: tuple[Example, ...] = (
    Example(
        ("hh", "hh_rlhf"),
        ({"chosen": human(*GREET, "4"), "rejected": human(*GREET, "5")},),
        (Pair(GREETED, ("4", "5")),),
    ),
    Example(
        ("hh",),
        (
            {
                "chosen": "\n\nSystem: Be brief." + human(Q, GOOD),
                "rejected": "\n\nSystem: Be brief." + human(Q, BAD),
            },
        ),
        (Pair(BRIEF, (GOOD, BAD)),),
    ),
    Example(("preferences", "trl"), ({"prompt": Q, "chosen": GOOD, "rejected": BAD},), (ONE,)),
    Example(
        ("preferences", "trl"),
        (
            {
                "prompt": [system("Be brief."), user(Q)],
                "chosen": [assistant(GOOD)],
                "rejected": [assistant(BAD)],
            },
        ),
        (Pair(BRIEF, (GOOD, BAD)),),
    ),
    Example(
        ("preferences", "trl", "skywork"),
        ({"chosen": turns(Q, GOOD), "rejected": turns(Q, BAD), "source": "magpie"},),
        (ONE,),
        frozenset({"source"}),
    ),
    Example(
        ("implicit", "trl_implicit"),
        ({"chosen": "The sky is blue.", "rejected": "The sky is green."},),
        (Pair("The sky is", (" blue.", " green.")),),
    ),
    Example(  # a transcript that is repeated within chosen and rejected
        ("preferences",),
        (
            {
                "prompt": human(*GREET) + "\n\nAssistant:",
                "chosen": human(*GREET, "4"),
                "rejected": human(*GREET, "5"),
            },
        ),
        (Pair(GREETED, ("4", "5")),),
    ),
    Example(
        ("preferences", "trl"),
        ({"system": "Be brief.", "question": Q, "chosen": GOOD, "rejected": BAD},),
        (Pair(BRIEF, (GOOD, BAD)),),
    ),
    Example(
        ("preferences",),
        ({"instruction": "Translate.", "input": "Haus", "chosen": "house", "rejected": "mouse"},),
        (Pair("Translate.\n\nHaus", ("house", "mouse")),),
    ),
    Example(
        ("unpaired", "trl_unpaired"),
        (
            {"prompt": Q, "completion": BAD, "label": False},
            {"prompt": Q, "completion": GOOD, "label": True},
        ),
        (ONE,),
    ),
    Example(
        ("ultrafeedback",),
        (
            {
                "source": "made",
                "instruction": Q,
                "models": ["m"],
                "completions": [
                    uf("A", 8.0, dict.fromkeys(FOUR, "5")),
                    uf("B", 6.5, dict(zip(FOUR, ("4", "3", "1", "N/A"), strict=True))),
                    uf("C", 6.5, dict(zip(FOUR, ("5", "5", "2", "5"), strict=True))),
                ],
                "correct_answers": ["None"],
            },
        ),
        (
            # gaps of ratings: 1 -> 3, 2 -> 2, 4 -> 1; equal 4; no rating, no criterion
            Pair(
                Q,
                ("A", "B"),
                (Said(2, criteria={"helpfulness": 3, "honesty": 2, "instruction_following": 1}),),
            ),
            Pair(
                Q,
                ("A", "C"),
                (
                    Said(
                        2,
                        criteria={
                            "helpfulness": 4,
                            "honesty": 4,
                            "instruction_following": 1,
                            "truthfulness": 4,
                        },
                    ),
                ),
            ),
            Pair(
                Q,
                ("B", "C"),
                (Said(4, criteria={"helpfulness": 5, "honesty": 6, "instruction_following": 5}),),
            ),
        ),
        frozenset(
            {
                "source",
                "models",
                "correct_answers",
                "completions[].model",
                "completions[].custom_system_prompt",
            }
            | {f"{name}.Rationale" for name in FOUR}
        ),
    ),
    Example(  # HuggingFaceH4: a string prompt beside whole conversations
        ("preferences", "ultrafeedback_binarized"),
        (
            {
                "prompt": Q,
                "prompt_id": "ab12",
                "chosen": turns(Q, GOOD),
                "rejected": turns(Q, BAD),
                "messages": turns(Q, GOOD),
                "score_chosen": 8.0,
                "score_rejected": 5.0,
            },
        ),
        (Pair(Q, (GOOD, BAD), id="ab12"),),
        frozenset({"messages", "score_chosen", "score_rejected"}),
    ),
    Example(  # argilla, cleaned
        ("preferences", "ultrafeedback_binarized"),
        (
            {
                "source": "made",
                "prompt": Q,
                "chosen": turns(Q, GOOD),
                "chosen-rating": 4.5,
                "chosen-model": "m",
                "rejected": turns(Q, BAD),
                "rejected-rating": 3.0,
                "rejected-model": "n",
            },
        ),
        (ONE,),
        frozenset({"source", "chosen-rating", "chosen-model", "rejected-rating", "rejected-model"}),
    ),
    Example(  # argilla, as first published
        ("preferences", "ultrafeedback_binarized"),
        (
            {
                "instruction": Q,
                "chosen_response": GOOD,
                "rejected_response": BAD,
                "chosen_avg_rating": 4.5,
            },
        ),
        (ONE,),
        frozenset({"chosen_avg_rating"}),
    ),
    Example(
        ("saferlhf", "pku_saferlhf"),
        (
            {
                "prompt": Q,
                "response_0": BAD,
                "response_1": GOOD,
                "is_response_0_safe": True,
                "is_response_1_safe": False,
                "better_response_id": 1,
                "safer_response_id": 0,
                "response_0_severity_level": 2,
            },
        ),
        (Pair(Q, (BAD, GOOD), (Said(6, criteria={"safer": 2}, flags=("unsafe:right",)),)),),
        frozenset({"response_0_severity_level"}),
    ),
    Example(
        ("helpsteer2_preference",),
        (
            {
                "split": "val",
                "prompt": "Hi\n<extra_id_1>Assistant\nHello.\n<extra_id_1>User\n2+2?",
                "response_1": "5",
                "response_2": "4",
                "preference_strength": 3,
                "preference_statement": "The second is right.",
                "preference_elaboration": "The first is not.",
                "all_preferences_unprocessed": [{"strength": 3}],
            },
        ),
        (
            Pair(
                GREETED,
                ("5", "4"),
                (Said(7, rationale="The second is right.\n\nThe first is not."),),
            ),
        ),
        frozenset({"all_preferences_unprocessed"}),
    ),
    Example(
        ("helpsteer2",),
        (
            {
                "prompt": Q,
                "response": BAD,
                "helpfulness": 1,
                "correctness": 0,
                "coherence": 4,
                "complexity": 1,
                "verbosity": 1,
            },
            {
                "prompt": Q,
                "response": GOOD,
                "helpfulness": 3,
                "correctness": 4,
                "coherence": 4,
                "complexity": 1,
                "verbosity": 1,
            },
        ),
        # gaps of -2, -4 (as much as 3) and 0
        (Pair(Q, (BAD, GOOD), (Said(6, criteria={"coherence": 4, "correctness": 7}),)),),
        frozenset({"complexity", "verbosity"}),
    ),
    Example(
        ("helpsteer3",),
        (
            {
                "domain": "general",
                "language": "english",
                "context": [system("Be brief."), user(Q)],
                "response1": GOOD,
                "response2": BAD,
                "overall_preference": -1,
                "individual_preference": [{"score": -1}],
            },
        ),
        (Pair(BRIEF, (GOOD, BAD), (Said(3),)),),
        frozenset({"individual_preference"}),
    ),
    Example(
        ("shp",),
        (
            {
                "post_id": "p7",
                "domain": "askscience_test",
                "history": Q,
                "human_ref_A": BAD,
                "human_ref_B": GOOD,
                "labels": 0,
                "score_A": 3,
                "score_B": 30,
                "created_at_utc_A": EPOCH,
            },
        ),
        (Pair(Q, (BAD, GOOD), (Said(6),), id="p7"),),
        frozenset({"score_A", "score_B", "created_at_utc_A"}),
    ),
    Example(
        ("webgpt",),
        tuple(
            {
                "question": {"dataset": "made", "id": f"w{n}", "full_text": Q},
                "quotes_0": {"title": ["t"], "extract": ["e"]},
                "answer_0": f"A{n}",
                "score_0": score,
                "answer_1": f"B{n}",
                "score_1": -score,
            }
            for n, score in enumerate((1.0, 0.33, 0.0, -0.67))
        ),
        tuple(
            Pair(Q, (f"A{n}", f"B{n}"), (Said(value),), id=f"w{n}")
            for n, value in enumerate((1, 3, 4, 6))
        ),
        frozenset({"question.dataset", "quotes_0"}),
    ),
    Example(
        ("summaries", "summarize_from_feedback"),
        (
            {
                "info": {
                    "id": "t3",
                    "post": "Long.",
                    "title": "Tall",
                    "subreddit": "tifu",
                    "article": None,
                },
                "summaries": [{"text": "S.", "policy": "sup1"}, {"text": "T.", "policy": "ref"}],
                "choice": 1,
                "worker": "W1",
                "batch": "b",
                "split": "valid1",
                "extra": {"confidence": 9},
            },
        ),
        (
            Pair(
                "SUBREDDIT: r/tifu\n\nTITLE: Tall\n\nPOST: Long.\n\nTL;DR:",
                ("S.", "T."),
                (Said(7, rater="W1"),),
                id="t3",
            ),
        ),
        frozenset({"summaries[].policy", "batch"}),
    ),
    Example(
        ("arena",),
        (
            {
                "question_id": "q9",
                "model_a": "m",
                "model_b": "n",
                "winner": "tie (bothbad)",
                "judge": "arena_user_5",
                "conversation_a": turns(Q, GOOD),
                "conversation_b": turns(Q, BAD),
                "turn": 1,
                "language": "English",
                "tstamp": float(EPOCH),
            },
        ),
        (Pair(Q, (GOOD, BAD), (Said(4, rater="arena_user_5", both_bad=True, at=AT),), id="q9"),),
    ),
    Example(  # MT-Bench: both turns are there, the first was judged
        ("arena", "mt_bench"),
        (
            {
                "question_id": 81,
                "model_a": "m",
                "model_b": "n",
                "winner": "model_b",
                "judge": "expert_0",
                "conversation_a": turns(Q, BAD, "And at dusk?", "Red."),
                "conversation_b": turns(Q, GOOD, "And at dusk?", "Red, too."),
                "turn": 1,
            },
        ),
        (Pair(Q, (BAD, GOOD), (Said(6, rater="expert_0"),), id="81"),),
    ),
    Example(
        ("arena_55k",),
        (
            {
                "id": 30,
                "model_a": "m",
                "model_b": "n",
                "prompt": '["Why is the sky blue?"]',
                "response_a": '["Air scatters blue light most."]',
                "response_b": '["It mirrors the sea."]',
                "winner_model_a": 1,
                "winner_model_b": 0,
                "winner_tie": 0,
            },
        ),
        (Pair(Q, (GOOD, BAD), id="30"),),
    ),
    Example(
        ("oasst",),
        (
            {
                "message_tree_id": "t",
                "tree_state": "ready_for_export",
                "prompt": {
                    "message_id": "t",
                    "text": Q,
                    "role": "prompter",
                    "lang": "en",
                    "replies": [
                        {
                            "message_id": "a",
                            "text": GOOD,
                            "role": "assistant",
                            "rank": 0,
                            "replies": [
                                {
                                    "message_id": "f",
                                    "text": "And at dusk?",
                                    "role": "prompter",
                                    "replies": [
                                        {
                                            "message_id": "g",
                                            "text": "Red.",
                                            "role": "assistant",
                                            "rank": 1,
                                            "replies": [],
                                        },
                                        {
                                            "message_id": "h",
                                            "text": "Redder.",
                                            "role": "assistant",
                                            "rank": 0,
                                            "replies": [],
                                        },
                                    ],
                                },
                            ],
                        },
                        {
                            "message_id": "b",
                            "text": BAD,
                            "role": "assistant",
                            "rank": 1,
                            "replies": [],
                        },
                    ],
                },
            },
        ),
        (
            Pair(Q, (GOOD, BAD), id="t"),
            Pair(
                [("user", Q), ("assistant", GOOD), ("user", "And at dusk?")],
                ("Red.", "Redder."),
                (Said(6),),
                id="f",
            ),
        ),
        frozenset({"tree_state", "replies[].message_id"}),
    ),
    Example(
        ("oasst_messages",),
        tuple(
            {
                "message_id": m,
                "parent_id": p,
                "text": text,
                "role": role,
                "rank": rank,
                "message_tree_id": "t",
                "lang": "en",
            }
            for m, p, text, role, rank in (
                ("t", None, Q, "prompter", None),
                ("b", "t", BAD, "assistant", 1.0),
                ("a", "t", GOOD, "assistant", 0.0),
            )
        ),
        (Pair(Q, (BAD, GOOD), (Said(6),), id="t"),),
        frozenset({"lang", "message_tree_id"}),
    ),
    Example(
        ("rankings", "nectar"),
        (
            {
                "prompt": human(Q) + "\n\nAssistant: ",
                "answers": [
                    {"answer": "A", "model": "m", "rank": 1.0},
                    {"answer": "B", "model": "n", "rank": 2.0},
                    {"answer": "C", "model": "o", "rank": 2.0},
                ],
                "turns": 1,
                "id": "n1",
            },
        ),
        (
            Pair(Q, ("A", "B"), id="n1"),
            Pair(Q, ("A", "C"), id="n1"),
            Pair(Q, ("B", "C"), (Said(4),), id="n1"),
        ),
        frozenset({"answers[].model", "turns"}),
    ),
    Example(
        ("rankings",),
        ({"prompt": Q, "responses": ["A", "B"], "scores": [1, 3], "id": "s1"},),
        (Pair(Q, ("A", "B"), (Said(6),), id="s1"),),
    ),
    Example(
        ("preferences", "rewardbench"),
        (
            {
                "prompt": Q,
                "chosen": GOOD,
                "chosen_model": "m",
                "rejected": BAD,
                "rejected_model": "n",
                "subset": "refusals",
                "id": 5,
            },
        ),
        (Pair(Q, (GOOD, BAD), id="5"),),
        frozenset({"chosen_model", "rejected_model"}),
    ),
    Example(
        ("best_of", "rewardbench2"),
        (
            {
                "id": "r2",
                "prompt": Q,
                "chosen": ["A"],
                "rejected": ["B", "C", "D"],
                "subset": "Math",
                "models": ["m"],
            },
        ),
        tuple(Pair(Q, ("A", text), id="r2") for text in "BCD"),
        frozenset({"models"}),
    ),
    Example(
        ("label_studio",),
        (
            {
                "id": 3,
                "data": {"prompt": Q, "answer1": BAD, "answer2": GOOD},
                "annotations": [
                    {
                        "completed_by": {"id": 12, "email": "a@example.org"},
                        "was_cancelled": False,
                        "created_at": "2023-11-14T22:13:20Z",
                        "lead_time": 8.5,
                        "result": [
                            {
                                "type": "pairwise",
                                "from_name": "pw",
                                "to_name": "answer1,answer2",
                                "value": {"selected": "right"},
                            },
                            {
                                "type": "textarea",
                                "from_name": "why",
                                "to_name": "prompt",
                                "value": {"text": ["It is true."]},
                            },
                        ],
                    },
                    {"completed_by": 13, "was_cancelled": True, "result": []},
                ],
                "project": 1,
            },
        ),
        (
            Pair(
                Q,
                (BAD, GOOD),
                (Said(6, rater="12", rationale="It is true.", seconds=8.5, at=AT),),
                id="3",
            ),
        ),
        frozenset(
            {
                "project",
                "completed_by.email",
                "result[].to_name",
                "annotations[].completed_by",
            }
        ),
    ),
    Example(
        ("label_studio_min",),
        (
            {
                "id": 3,
                "prompt": Q,
                "answer1": BAD,
                "answer2": GOOD,
                "comparison": "right",
                "annotator": 12,
                "annotation_id": 99,
                "created_at": "2023-11-14T22:13:20Z",
                "lead_time": 8.5,
            },
        ),
        (Pair(Q, (BAD, GOOD), (Said(6, rater="12", seconds=8.5, at=AT),), id="3"),),
        frozenset({"annotation_id"}),
    ),
    Example(
        ("argilla",),
        (
            {
                "id": "r1",
                "status": "completed",
                "fields": {"prompt": Q, "response_a": GOOD, "response_b": BAD},
                "responses": {
                    "preference": [
                        {"value": "response_a", "user_id": "u1"},
                        {"value": "tie", "user_id": "u2"},
                    ],
                    "reason": [{"value": "It is true.", "user_id": "u1"}],
                },
            },
        ),
        (
            Pair(
                Q,
                (GOOD, BAD),
                (Said(2, rater="u1", rationale="It is true."), Said(4, rater="u2")),
                id="r1",
            ),
        ),
        frozenset({"status"}),
    ),
    Example(
        ("argilla_flat",),
        (
            {
                "id": "r1",
                "prompt": Q,
                "response_a": GOOD,
                "response_b": BAD,
                "preference.responses": ["response_b", "response_a"],
                "preference.responses.users": ["u1", "u2"],
                "preference.responses.status": ["submitted", "discarded"],
                "preference.suggestion": "response_a",
            },
        ),
        (Pair(Q, (GOOD, BAD), (Said(6, rater="u1"),), id="r1"),),
        frozenset({"preference.suggestion"}),
    ),
    Example(
        ("argilla_columns",),
        (
            {
                "prompt": Q,
                "response-1": GOOD,
                "response-2": BAD,
                "preference": [
                    {
                        "user_id": "u1",
                        "status": "submitted",
                        "value": [
                            {"value": "response-1", "rank": 1},
                            {"value": "response-2", "rank": 2},
                        ],
                    },
                ],
                "external_id": "x",
            },
        ),
        (Pair(Q, (GOOD, BAD), (Said(2, rater="u1"),), id="x"),),
    ),
    Example(
        ("sharegpt",),
        (
            {
                "conversations": [
                    {"from": "system", "value": "Be brief."},
                    {"from": "human", "value": Q},
                ],
                "chosen": {"from": "gpt", "value": GOOD},
                "rejected": {"from": "gpt", "value": BAD},
            },
        ),
        (Pair(BRIEF, (GOOD, BAD)),),
    ),
    Example(
        ("openai",),
        (
            {
                "input": {
                    "messages": [system("Be brief."), user(Q)],
                    "tools": [],
                    "parallel_tool_calls": True,
                },
                "preferred_output": [assistant(GOOD)],
                "non_preferred_output": [assistant(BAD)],
            },
        ),
        (Pair(BRIEF, (GOOD, BAD)),),
        frozenset({"input.parallel_tool_calls"}),
    ),
    Example(
        ("winner",),
        (
            {
                "prompt": Q,
                "response_a": BAD,
                "response_b": GOOD,
                "winner": "B",
                "judge": "ada",
                "both": 1,
            },
        ),
        (Pair(Q, (BAD, GOOD), (Said(6, rater="ada"),)),),
        frozenset({"both"}),
    ),
    Example(
        ("votes",),
        (
            {
                "prompt": [system("Be brief."), user(Q)],
                "completions": [GOOD, BAD],
                "votes": [
                    {"rater": "w1", "value": "a"},
                    {
                        "rater": "w2",
                        "value": 4,
                        "judged_at": "2023-11-14T22:13:20+00:00",
                        "both_bad": True,
                        "criteria": {"tone": 6},
                        "flags": ["refusal", "unsafe:left"],
                        "rationale": "Hm.",
                        "seconds": 3,
                        "mood": "good",
                    },
                ],
            },
        ),
        (
            Pair(
                BRIEF,
                (GOOD, BAD),
                (
                    Said(2, rater="w1"),
                    Said(
                        4,
                        rater="w2",
                        criteria={"tone": 6},
                        both_bad=True,
                        flags=("refusal", "unsafe:left"),
                        rationale="Hm.",
                        seconds=3.0,
                        at=AT,
                    ),
                ),
            ),
        ),
        frozenset({"votes[].mood"}),
    ),
    Example(
        ("outerloop",),
        (
            {
                "id": "j1",
                "kind": "judgment",
                "use": "train",
                "revision": 1,
                "active": True,
                "withdrawn": False,
                "surplus": False,
                "excluded": False,
                "purpose": "training",
                "split": "train",
                "rater": "r-1",
                "value": 6,
                "values": [{"criterion": "overall", "value": 6}, {"criterion": "tone", "value": 3}],
                "both_bad": True,
                "flags": [{"key": "refusal", "slot": None}, {"key": "unsafe", "slot": 2}],
                "rationale": "Hm.",
                "reasons": ["clear", "safe"],
                "seconds": 6.5,
                "judged_at": "2023-11-14T22:13:20+00:00",
                "external_id": "e1",
                "messages": [system("Be brief."), user(Q)],
                "completions": [{"text": BAD}, {"text": GOOD}],
            },
        ),
        (
            Pair(
                BRIEF,
                (BAD, GOOD),
                (
                    Said(
                        6,
                        rater="r-1",
                        criteria={"tone": 3},
                        both_bad=True,
                        flags=("refusal", "unsafe:right"),
                        rationale="Hm.",
                        seconds=6.5,
                        at=AT,
                        reasons=("clear", "safe"),
                    ),
                ),
                id="e1",
            ),
        ),
        frozenset({"id", "revision"}),
    ),
)
