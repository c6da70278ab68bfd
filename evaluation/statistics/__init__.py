"""Statistics of evaluation, NumPy and SciPy only, one family a module:

intervals (shares, means, cluster bootstrap), sequences (e-process, confidence sequence), agreement,
calibration, curves (Gao laws, mismatch), ratings (Bradley-Terry), diversity, length, judging.
Everything random takes its seed; results travel as `evaluation.contracts.Interval`.
"""
