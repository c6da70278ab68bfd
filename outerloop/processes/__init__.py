"""The processes of a running installation: their command lines, who runs them, and keeping them alive.

`manage.py up` is the one way to run them: a person types it, the demo starts it as a child.
"""
