"""Beneath every room, learning programs and the site alike: the rows of data files, and how files are written.

Standard library only. What stands here is what both sides of the process boundary must agree on to the
byte; everything else belongs to a room.
"""
