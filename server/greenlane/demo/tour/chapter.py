"""What the tour is made of: chapters of scenes, and what is expected of each.

A scene is a function without arguments. Its source is shown, it is run, and what it
prints is shown too; it returns what was observed, by name. Nothing here runs or
shows anything: :mod:`greenlane.demo.tour.stage` runs, :mod:`greenlane.demo.tour.guide` shows.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Observed: TypeAlias = Mapping[str, Any]
Shown: TypeAlias = type | Callable[..., Any]


@dataclass(frozen=True)
class Rule:
    """An expectation that more than one value meets.

    Attributes:
        text: the expectation in words, such as "fewer than 100".
        holds: whether an observed value meets it.

    """

    text: str
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Scene:
    """Code that is shown and then run.

    Attributes:
        run: the code.
        why: one sentence on why it came out as it did.
        expected: what ``run`` has to return: by name, a value or a :class:`Rule`.
        forms: classes and functions that ``run`` uses and that are shown before it.

    """

    run: Callable[[], Observed]
    why: str
    expected: Observed
    forms: tuple[Shown, ...] = ()

    @property
    def sources(self) -> list[str]:
        """The source of each form and of ``run``, as it stands in its file."""
        return [
            textwrap.dedent(inspect.getsource(each)).rstrip()
            for each in (*self.forms, self.run)
        ]


@dataclass(frozen=True)
class Chapter:
    """Scenes about one thing; their module's docstring introduces them.

    Attributes:
        title: a few words.
        scenes: in the order in which they are run.

    """

    title: str
    scenes: tuple[Scene, ...]

    @property
    def module(self) -> str:
        """The module that holds the scenes' code."""
        return self.scenes[0].run.__module__

    @property
    def introduction(self) -> str:
        """The docstring of the module."""
        return inspect.getdoc(sys.modules[self.module]) or ""


def named(storage: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Return a storage with the names of its greenlets instead of themselves."""
    return {
        str(getattr(ident, "name", ident)): values
        for ident, values in storage.items()
    }
