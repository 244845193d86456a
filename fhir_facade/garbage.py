"""Python's search for garbage in cycles, kept away from what lives as long as the server does.

Mappings, the tables of R4 and their compiled code are some hundred thousand objects. Looking through all of them takes
a tenth of a second, at start again and again, and later in the middle of somebody's request.
"""

from __future__ import annotations

import gc


def begin() -> None:
    """Look for no garbage while the server is put together: there is hardly any."""
    gc.disable()


def settle() -> None:
    """From now on look for garbage, but not among what there is already."""
    gc.freeze()
    gc.enable()


def settle_more() -> None:
    """Leave out what has been made since too, in a server that has settled."""
    if gc.get_freeze_count():
        gc.freeze()


def renew() -> None:
    """Look once among all that there is, since much of it has been replaced; in a server that has settled."""
    if gc.get_freeze_count():
        gc.unfreeze()
        gc.collect()
        gc.freeze()
