"""The sentences that belong to no single fact: greetings, refusals, hedges, padding.

Every text of the demo world is made of the words in this module and in `facts`. The vocabulary is
kept near three hundred words on purpose: a network of 0.4 million parameters trained for half a
minute has to learn to read and write all of it.
"""

from __future__ import annotations

# What a person may write before and after the question proper.
OPENERS = (
    "",
    "Hi,",
    "Hello,",
    "Hey there,",
    "Quick question:",
    "Good morning.",
    "Excuse me,",
    "I have a question.",
    "One more thing:",
    "Please help me.",
    "I am new here.",
    "Hi there, quick question:",
)
CLOSERS = (
    "",
    "Thanks!",
    "Thank you.",
    "I am in a hurry.",
    "It is for work.",
    "I need to know today.",
)

REFUSALS = (
    "I cannot help with that.",
    "I am sorry, but I cannot help with that.",
    "Sorry, I cannot do that.",
    "I will not help with that.",
)

# Put before an answer; what follows starts in lower case.
HEDGES = ("I think", "Maybe", "I am not sure, but", "It may be that")
MILD_HEDGES = ("Maybe", "I am not sure, but")
# "I think open Settings" is no English: such claims take the mild hedges.
IMPERATIVES = ("Press", "Open", "Type", "Insert", "Try", "Choose", "Just", "To", "Think")
LEADS = ("Sure,", "Of course,")

APOLOGIES = ("Sorry for the wait.", "I am sorry for the trouble.")
FILLERS = (
    "That is a good question.",
    "There is a lot to say here.",
    "Let me explain this step by step.",
    "Many people ask this.",
)
PLEASANTRIES = (
    "Happy to help!",
    "I hope this helps!",
    "Have a nice day!",
    "Thank you for asking!",
    "Please ask me again!",
    "You are very welcome!",
)


def lowered(sentence: str) -> str:
    """The sentence as it reads after a comma or a colon: "Press ..." becomes "press ..."."""
    first, _, rest = sentence.partition(" ")
    if first in ("I", "Control"):
        return sentence
    return f"{first[:1].lower()}{first[1:]} {rest}".rstrip()


def raised(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
