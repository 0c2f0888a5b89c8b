"""The one exception a user of this project is meant to read."""

import difflib
from collections.abc import Iterable

LISTED_NAMES = 12


class UserError(Exception):
    """Say what is wrong, where it stands and what to do; the CLI prints only this."""


def did_you_mean(name: object, valid: Iterable[object]) -> str:
    """Return ` Did you mean 'hopper'?`, or nothing where no valid name is close."""
    names = {str(candidate).casefold(): str(candidate) for candidate in valid}
    matches = difflib.get_close_matches(str(name).casefold(), names, n=1, cutoff=0.5)
    return f" Did you mean '{names[matches[0]]}'?" if matches else ""


def nearest(name: object, valid: Iterable[object]) -> str:
    """Return the end of a message about an unknown name: `. Did you mean 'hopper'?`.

    Case does not matter; where no valid name is close, they are listed instead.
    """
    names = list(map(str, valid))
    suggestion = did_you_mean(name, names)
    if suggestion:
        return f".{suggestion}"
    listed = ", ".join(names[:LISTED_NAMES]) or "none"
    return f". Valid: {listed}{', ...' if len(names) > LISTED_NAMES else ''}."
