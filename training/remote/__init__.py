"""A learning program on a machine that shares no folder with its worker: `python -m training.remote`.

It makes the run directory in a folder of its own, starts the program there, and tells the site what comes of it.
Standard library only, beside what learning programs have.
"""
