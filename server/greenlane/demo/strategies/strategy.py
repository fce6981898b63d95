"""What a strategy is: a keeper that any situation can be tried with.

Must not import any strategy, the probe or the site.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Literal, TypeAlias, TypeVar

from greenlet import greenlet

from greenlane.demo.keeper import FIELDS, Keeper

Role = Literal["subject", "observed", "control"]

T = TypeVar("T")

Stored: TypeAlias = dict[str, dict[str, str]]
"""What lies where: the fields that are set, by the name of their place, as ``Keeper.place()`` has it."""


def _fields(values: Mapping[str, object]) -> dict[str, str]:
    """Return the fields that are set in ``values``."""
    return {field: str(values[field]) for field in FIELDS if values.get(field) is not None}


def filled(places: Mapping[str, Mapping[str, object]]) -> Stored:
    """Return the places in which any field is set."""
    return {name: fields for name, values in places.items() if (fields := _fields(values))}


class Strategy(Keeper):
    """A way of keeping request data that any situation can be tried with.

    Its release is called by the probe only when it is asked to (``release=1``). Whether
    it is otherwise called, and by whom, is the point of each strategy.

    Attributes:
        name: its last path segment under ``/probe/``.
        role: ``subject`` must hold, ``control`` must fail, ``observed`` is shown without a demand.
        summary: one sentence: why it holds, or why it fails.
        shares: one sentence: what requests share under it.
        locals: the values of the label ``local`` of the metric
            ``greenlane_local_entries`` that count this strategy's entries; empty
            where no Local holds its data.

    """

    name: ClassVar[str]
    role: ClassVar[Role]
    summary: ClassVar[str]
    shares: ClassVar[str]
    locals: ClassVar[tuple[str, ...]] = ()

    def entries(self) -> int | None:
        """Return how much is open now: lanes with data, or contexts; None where that cannot be told."""
        return None

    @abstractmethod
    def storage(self, greenlets: Iterable[greenlet] = ()) -> Stored:
        """Return everything that it holds now, by the name of its place; empty places are left out.

        Args:
            greenlets: where to look, for a strategy that has no list of who uses it.

        """

    def carried(self, function: Callable[[], T]) -> Callable[[], T]:
        """Return ``function`` as this strategy's own program would hand it to another greenlet.

        By default as it is: nothing goes with it.
        """
        return function
