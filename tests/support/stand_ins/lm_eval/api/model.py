"""What a model of the library is derived from."""


class LM:
    """Its methods take requests and give one reply each."""
