"""Proximal policy optimisation for language models: pure functions first, then rollouts and updates.

Shapes used throughout: B sequences, R response positions, V vocabulary entries. A mask is boolean
[B, R] and True on response tokens, the closing EOS included; each row has one unbroken stretch of
them. The batches made here are aligned to the right: the last column is every row's last token.
"""
