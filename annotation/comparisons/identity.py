"""Hide where a completion names its own maker, so that the comparison stays blind.

Only where the text speaks of itself is a name hidden: an answer about a product keeps it. The names that a
lead has listed are hidden wherever they stand. What is stored, trained on and exported stays as it was
written. How many names are found, and how many left alone, is measured in the tests of this module.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence

from . import self_naming as say
from .alphabets import CYRILLIC
from .shown_texts import Hidden, ShownText

MASK = "[name hidden]"
MASKED = "[name {n} hidden]"
SHORTEST_SECRET = 8
MOST_NAMES = 20  # of one sentence that are looked at: one that names more is a list of products
WINDOW = 160  # characters around a name in which the text can speak of itself
Span = tuple[int, int]

# Of both cases, since a text is in lower case by the time: a small н stands where Н was drawn like H.
_LETTERS = str.maketrans({other.lower(): latin.lower() for other, latin in CYRILLIC.items()})
_OTHERS = "а-я" + "".join(chr(letter) for letter in _LETTERS)
_MIXED = re.compile(rf"[a-z0-9{_OTHERS}]+")
_PLAIN = "|".join(say.PLAIN_NAMES)
_OTHER = "|".join(say.OTHER_NAMES)
_VERSION = r"(?:[- ]?v?\d[a-z0-9_.]*)?(?:-[a-z0-9_]+)*"
_EDGE, _EDGE_END = r"(?<![a-z0-9])", r"(?![a-z0-9])"
_ANY = rf"{_EDGE}(?:{say.ARTIFACT}|(?:{_PLAIN}|{_OTHER}){_VERSION}){_EDGE_END}"
_NAME = re.compile(_ANY)
_SURE = re.compile(rf"{_EDGE}(?:{say.ARTIFACT}|(?:{_PLAIN}){_VERSION}){_EDGE_END}")
_WORD = r"(?<!\w)"
_SELF = re.compile(
    "|".join(rf"(?:{_WORD if each[0].isascii() else ''}(?:{each}))" for each in say.SELF)
)
_BARE = re.compile(rf"(?<!\w)(?:{say.BARE})")
_AS = re.compile(rf"\W*(?:{say.AS})(?:\s+|(?<=[为為]))")
_AS_END, _END = re.compile(say.AS_END), re.compile(say.END)
_NAME_FIRST = re.compile(say.NAME_FIRST)
_ORIGIN = re.compile("|".join(rf"(?<!\w)(?:{each})(?!\w)|(?:由|被)" for each in say.ORIGIN))
_WEAK = re.compile(rf"(?<!\w)(?:{say.WEAK_ORIGIN})(?!\w)")
_AFTER, _OF_ME = re.compile(say.ORIGIN_AFTER), re.compile(say.ORIGIN_OF_ME)
_ME_AFTER = re.compile(say.ME_AFTER)
_TOKENS = re.compile(r"[\w'-]+")
_MARKS = r"[\s>#*_~`|\[\]()\"“”«»—–-]*"
_TITLE = re.compile(rf"{_MARKS}({_SURE.pattern}){say.TITLE}[\s*_`\])]*(?:[:：]|$)")
_MADE_WITH = re.compile(rf"(?<!\w)(?:{say.MADE_WITH})\s*:?\s*(?:the )?({_ANY})")
_SIGNED = re.compile(rf"\s*[*_>]*\s*[—–~-]+\s*(?:your (?:ai )?assistant,? )?({_ANY})[\s*_).]*$")
_CLOSED = re.compile(rf"{_MARKS}({_ANY})[\s*_).]*$")
_CLOSING = re.compile(rf"(?:^|[.!?。]\s+|\n)[\s*_]*(?:{say.CLOSING})[,，、!.]?\s*$")
_SENTENCE = re.compile(r"[^.!?。！？।\n]*(?:[.!?](?![\s*_\"')]|$)[^.!?。！？।\n]*)*[.!?。！？।\n]*")


def identities_masked(
    texts: Sequence[str], secrets: Sequence[str] = (), listed: Sequence[str] = ()
) -> list[str]:
    """Texts that are seen together, with names hidden where one speaks of itself; `secrets` and what a
    lead has `listed` everywhere.

    Where the texts hide several names each gets a number, so that hiding never makes two texts one.
    """
    return [shown.text for shown in texts_masked(texts, secrets, listed)]


def texts_masked(
    texts: Sequence[str], secrets: Sequence[str] = (), listed: Sequence[str] = ()
) -> list[ShownText]:
    """The same with what each text hides, and where."""
    spans = [names_hidden(text, secrets, listed) for text in texts]
    found = dict.fromkeys(
        text[start:end] for text, own in zip(texts, spans, strict=True) for start, end in own
    )
    masks = {
        name: MASK if len(found) == 1 else MASKED.format(n=n) for n, name in enumerate(found, 1)
    }
    return [
        ShownText(text, [Hidden(start, end, masks[text[start:end]]) for start, end in own])
        for text, own in zip(texts, spans, strict=True)
    ]


def names_read(text: str) -> tuple[str, ...]:
    """The names that a lead has listed, one a line; "" and single letters are none."""
    return tuple(name for line in text.splitlines() if len(name := line.strip()) > 1)


def names_hidden(text: str, secrets: Sequence[str] = (), listed: Sequence[str] = ()) -> list[Span]:
    """Start and end of each name to hide, in order, none within another."""
    plain, where = _folded(text)
    everywhere = (*(s for s in secrets if len(s) >= SHORTEST_SECRET), *listed)
    found = [m.span() for m in _listed(everywhere).finditer(plain)] if everywhere else []
    if _NAME.search(plain):
        found += _of_itself(plain, found)
    spans, end = [], 0
    for start, stop in sorted(found):
        if start >= end:
            spans.append((where[start], where[stop - 1] + 1))
            end = stop
    return spans


def _folded(text: str) -> tuple[str, list[int]]:
    """The text as rules read it, and the place of each of its characters in the text: lower case, one
    width, Latin letters for those of other alphabets that stand in a Latin word, nothing unseen."""
    if text.isascii():
        return text.lower(), list(range(len(text)))
    letters: list[str] = []
    where: list[int] = []
    for place, character in enumerate(text):
        folded = character.lower() if character.isascii() else _one_folded(character)
        letters.append(folded)
        where += [place] * len(folded)
    return _one_alphabet("".join(letters)), where


@functools.lru_cache(maxsize=4096)
def _one_folded(character: str) -> str:
    unseen = unicodedata.category(character) == "Cf" or 0xFE00 <= ord(character) <= 0xFE0F
    return "" if unseen else unicodedata.normalize("NFKC", character).replace("’", "'").lower()


def _one_alphabet(plain: str) -> str:
    def turned(word: re.Match[str]) -> str:
        mixed = re.search("[a-z]", word.group()) and re.search(f"[{_OTHERS}]", word.group())
        return word.group().translate(_LETTERS) if mixed else word.group()

    return _MIXED.sub(turned, plain)


@functools.lru_cache(maxsize=256)
def _listed(names: tuple[str, ...]) -> re.Pattern[str]:
    folded = sorted({_folded(name)[0] for name in names}, key=len, reverse=True)
    return re.compile("|".join(rf"{_EDGE}{re.escape(name)}{_EDGE_END}" for name in folded))


def _of_itself(plain: str, listed: Sequence[Span]) -> Iterator[Span]:
    for sentence in _SENTENCE.finditer(plain):
        start, end = sentence.span()
        names = [m.span() for m in _NAME.finditer(plain, start, end)]
        names += [span for span in listed[:MOST_NAMES] if start <= span[0] < end]
        if any(_speaks_of_itself(plain, sentence.span(), n) for n in names[:MOST_NAMES]):
            yield from names
    yield from _headed_or_signed(plain)


def _speaks_of_itself(plain: str, sentence: Span, name: Span) -> bool:
    start, end = max(sentence[0], name[0] - WINDOW), min(sentence[1], name[1] + WINDOW)
    after = plain[name[1] : end]
    if _ME_AFTER.match(after) or (
        _NAME_FIRST.match(after) and not plain[start : name[0]].strip(" *_>#、")
    ):
        return True
    opening = _AS.match(plain, start, name[0])
    if opening and _only_filler(plain[opening.end() : name[0]]) and _AS_END.match(after):
        return True
    before = plain[start : name[0]]
    if _OF_ME.search(before) and _only_filler(before[_last(_OF_ME, before) :]):
        return True
    for phrase in _SELF.finditer(before):
        if _leads_to(before[phrase.end() :], after, bare=False):
            return True
    return any(_leads_to(before[p.end() :], after, bare=True) for p in _BARE.finditer(before))


def _leads_to(between: str, after: str, *, bare: bool) -> bool:
    """Whether "I am", these words and the name say who wrote the text, or who made the writer."""
    if _only_filler(between) and (not bare or _END.match(after)):
        return not between or not between[0].isalnum() or not between[0].isascii()
    if _AFTER.match(after):
        return _others(_WEAK.sub(" ", _ORIGIN.sub(" ", between))) <= say.ORIGIN_WORDS
    if not bare and _WEAK.search(between) and _only_filler(_WEAK.sub(" ", between)):
        return True
    origin = _last(_ORIGIN, between)
    if not origin or not _only_filler(between[origin:]):
        return False
    return _others(_ORIGIN.sub(" ", between[:origin])) <= say.ORIGIN_WORDS


def _last(pattern: re.Pattern[str], text: str) -> int:
    """Where the last match ends; 0 without one."""
    return max((m.end() for m in pattern.finditer(text)), default=0)


def _others(text: str) -> int:
    """How many words there are beside the fillers."""
    return sum(word not in say.FILLER for word in _TOKENS.findall(text))


def _only_filler(text: str) -> bool:
    return _others(text) == 0


def _headed_or_signed(plain: str) -> Iterator[Span]:
    lines = [(m.start(), m.group()) for m in re.finditer(r"[^\n]+", plain) if m.group().strip()]
    if not lines:
        return
    (first, head), (last, tail) = lines[0], lines[-1]
    found = [
        (first, _TITLE.match(head)),
        *((at, _MADE_WITH.search(line)) for at, line in lines[:1] + lines[-1:]),
    ]
    found.append((last, _SIGNED.match(tail)))
    if _CLOSING.search(plain[:last].rstrip("\n")):
        found.append((last, _CLOSED.match(tail)))
    for at, match in found:
        if match is not None and len(match.group()) <= 80:
            yield at + match.start(1), at + match.end(1)
