"""Reward models: the loss of a pair, what votes and ties make of a label, members, scores and their worth."""
