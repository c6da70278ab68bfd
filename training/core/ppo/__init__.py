"""Proximal policy optimisation for language models: pure functions first, then rollouts and updates.

Shapes used throughout: B sequences, R response positions (right-padded), V vocabulary entries.
A mask is boolean [B, R] and True on response tokens, the closing EOS included.
"""
