"""The help desk: facts, the prompts that ask for them, completions of mixed quality.

Standard library only and a pure function of the seed, so that a learning program, the site and a
benchmark can all use it.
"""

from outerloop.demo.world.completions import demonstrations
from outerloop.demo.world.facts import FACTS, KIND_SHARES, Fact, Kind
from outerloop.demo.world.prompts import DemoPrompt, fact_asked, of_this_world, prompts

__all__ = [
    "FACTS",
    "KIND_SHARES",
    "DemoPrompt",
    "Fact",
    "Kind",
    "demonstrations",
    "fact_asked",
    "of_this_world",
    "prompts",
]
