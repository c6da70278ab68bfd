"""Letters of another alphabet that most faces draw like Latin ones."""

from __future__ import annotations

CYRILLIC = dict(
    zip("аеорсухіјѕԁһԛԝАВЕКМНОРСТХУІЈЅҮ", "aeopcyxijsdhqwABEKMHOPCTXYIJSY", strict=True)
)
