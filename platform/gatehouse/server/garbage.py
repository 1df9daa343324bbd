"""What the collector of cyclic garbage looks at. It holds all threads while it looks."""

import gc

YOUNG = 15_000
"""So many new objects set off a look at these: more than 256 calls under way have, which are all still in use, and no more than are
looked at in some ten milliseconds. By Python's own 700 there would be a look after every few calls."""
OLDER = (10, 20)
"""So many of those, and then so many of these, set off a look at older ones."""


def leave_out_what_is_loaded() -> None:
    """For a process that has loaded all that it needs and is about to serve.

    Libraries and models are a million objects. A full collection over them takes a quarter of a second, and decoding one large body by the
    strict road sets it off. They stay in any case; what goes all the same is freed by its count of references.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *OLDER)
