"""Pairs across prompts: which answer wins, whose prompt it is, and that two runs make the same."""

from __future__ import annotations

from annotation.rows import PreferenceRow
from training.core.reward.contrasts import cross_prompt_rows


def row(name: str, *, group: str, preference: float, weight: float = 1.0) -> PreferenceRow:
    return PreferenceRow(
        id=name,
        group=group,
        messages=({"role": "user", "content": f"ask {name}"},),
        completions=(f"{name} 0", f"{name} 1"),
        preference=preference,
        strength=7 - 5 * preference,
        weight=weight,
    )


ROWS = [
    row("a", group="g", preference=1.0),
    row("b", group="h", preference=0.0),
    row("c", group="h", preference=0.75, weight=2.0),
    row("even", group="i", preference=0.5),
    row("left out", group="j", preference=1.0, weight=0.0),
]
BETTER = {"a": "a 0", "b": "b 1", "c": "c 0"}
WORSE = {"a": "a 1", "b": "b 0", "c": "c 1"}


def test_an_answer_beats_one_to_another_prompt_and_two_of_those_are_a_tie() -> None:
    made = cross_prompt_rows(ROWS, share=6.0, seed=1)
    assert len(made) == 30
    for number, found in enumerate(made):
        own, _, rest = found.id.partition(" x ")
        other = rest.split(" ")[0]
        assert found.messages[0]["content"] == f"ask {own}"
        assert {own, other} <= BETTER.keys()  # neither ties nor pairs of no weight
        assert (own == "a") != (other == "a")  # of another group
        kinds = (
            (BETTER[own], BETTER[other]),
            (WORSE[own], BETTER[other]),
            (BETTER[other], WORSE[other]),
        )
        assert found.completions == kinds[number % 3]
        assert found.preference == (0.5 if number % 3 == 2 else 1.0)
        assert found.strength == (4.0 if number % 3 == 2 else 2.0)
        assert found.weight == (2.0 if own == "c" else 1.0)
    assert len({found.id for found in made}) == 30


def test_they_depend_on_the_seed_alone() -> None:
    first, again, other = (cross_prompt_rows(ROWS, share=4.0, seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_one_group_has_no_other_prompt() -> None:
    assert cross_prompt_rows(ROWS[1:3], share=3.0, seed=1) == []
