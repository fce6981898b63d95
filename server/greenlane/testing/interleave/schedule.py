"""Schedules as short strings: the choices that are not 0, each with its place.

``"2:1,5:2"`` is: at the third choice take option 1, at the sixth take option 2,
otherwise go on with the same greenlet (option 0). The order without a choice is
``"0"``. Only choices count: where one thing alone can go on, there is none.
"""

import re
from collections.abc import Sequence

_CHOICE = re.compile(r"([0-9]{1,9}):([1-9][0-9]{0,8})")


def encode(taken: Sequence[int]) -> str:
    """Return the schedule of a sequence of choices."""
    return ",".join(f"{place}:{choice}" for place, choice in enumerate(taken) if choice) or "0"


def decode(schedule: str) -> list[int]:
    """Return the choices of a schedule.

    Raises:
        ValueError: it is none.

    """
    if schedule.strip() == "0":
        return []
    taken: list[int] = []
    for part in schedule.split(","):
        match = _CHOICE.fullmatch(part.strip())
        if match is None or int(match[1]) < len(taken) or int(match[1]) > 1_000_000:
            raise ValueError(
                f"{schedule!r} is no schedule: it is 0, or places and choices, as in 2:1,5:2, in order"
            )
        taken += [0] * (int(match[1]) - len(taken))
        taken.append(int(match[2]))
    return taken
