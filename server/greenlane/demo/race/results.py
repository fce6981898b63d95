"""The results of a race, kept for whoever opens the page after it.

Must not import the views.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from greenlane.demo.race.settings import Settings
from greenlane.demo.race.story import Story

#: Stories that are kept of each cell: the first ones.
STORIES: Final = 2

#: The judgements of DESIGN's words that are cross-talk.
CROSS_TALK: Final = frozenset({"foreign", "torn", "stale"})


@dataclass
class Results:
    """What has come of one race so far.

    Attributes:
        settings: what was raced.
        end: the load's last line; None until it has come.
        numbers: the number that each lane's request has in its cell, by nonce.
        stories: some of what went wrong, by cell.

    """

    settings: Settings
    end: dict[str, Any] | None = None
    numbers: dict[str, int] = field(default_factory=dict)
    stories: dict[str, list[Story]] = field(default_factory=dict)

    def add(self, line: dict[str, Any], story: Story | None) -> None:
        """Take in a request's line, and what it met."""
        self.numbers[line["nonce"]] = line["number"]
        stories = self.stories.setdefault(line["cell"], [])
        if story is not None and line["judged"] in CROSS_TALK and len(stories) < STORIES:
            stories.append(story)

    def sentences(self, cell: str) -> list[str]:
        """Return in words what went wrong in ``cell``, for some of its requests."""
        return [
            "".join(word if isinstance(word, str) else self._name(word.nonce) for word in story.words)
            for story in self.stories.get(cell, ())
        ]

    def _name(self, nonce: str) -> str:
        number = self.numbers.get(nonce)
        return "another request" if number is None else f"request {number}"
