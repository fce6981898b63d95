"""Where a Local's data lives: on the greenlet itself, never beside it.

A mapping kept beside the greenlets has to choose between two mistakes. Keyed by
``id(greenlet)``, a new greenlet at a recycled address inherits a dead one's
data. Keyed by the greenlet, an entry whose value refers back to its greenlet
keeps both alive for ever: weak keys do not help, because the mapping holds the
value and the value holds the key.

So each greenlet carries its own data in its ``__dict__``, under one name::

    greenlet.__dict__["greenlane.lane"] = {storage.key: {name: value}}

What the greenlet owns dies with it, cycles included, and a recycled address
starts with an empty ``__dict__``. :class:`Storage` is the view that shows this
data in the classic shape ``{ident: {name: value}}``; it holds idents weakly.
"""

import weakref
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import count
from typing import Any, TypeAlias

from greenlet import getcurrent, greenlet

IdentFunc: TypeAlias = Callable[[], Hashable]

LANE = "greenlane.lane"
"""The name in a greenlet's ``__dict__`` under which every Storage keeps its part."""

SWEEP_AT = 100
"""With this many greenlets in it, a Storage first looks for dead ones."""

get_ident = getcurrent
"""The default ident: the current greenlet, in a plain thread its main greenlet."""

_keys = count(1)


class Values(dict[str, Any]):
    """What one ident has set: ``{name: value}``.

    A subclass, because the collector always tracks its instances. It leaves a plain
    dict alone until that holds something which may be in a cycle, and asks that of
    a value when it is put in; a greenlet answers no while it runs. ``local.me =
    getcurrent()`` would then make a cycle that is never found.
    """

    __slots__ = ()


class _Finalizing:
    """The ident of code that still runs when the interpreter is going away."""

    def __repr__(self) -> str:
        return "<ident of a finalizing interpreter>"


_FINALIZING = _Finalizing()


def current_ident(ident_func: IdentFunc) -> Hashable:
    """Call ``ident_func``, and survive the end of the interpreter.

    While the interpreter finalizes, ``greenlet.getcurrent`` raises RuntimeError,
    yet destructors and ``atexit`` functions still read and release locals. Only
    one thread is left by then, so one ident serves them all.

    Raises:
        Whatever an ``ident_func`` other than the default raises.

    """
    try:
        return ident_func()
    except RuntimeError:
        if ident_func is get_ident:
            return _FINALIZING
        raise


def clear_lane(ident: greenlet) -> None:
    """Drop what all Locals keep on the greenlet ``ident``, which is dead."""
    ident.__dict__.pop(LANE, None)


class Storage(Mapping[Hashable, Values]):
    """One Local's data as a live, read-only mapping ``{ident: {name: value}}``.

    An ident has an entry while it has at least one name. An entry of a greenlet
    goes away when the greenlet is collected; of a ``gevent.Greenlet``, already
    when it finishes; of a dead one that stays, when this view is looked at, and
    now and then besides, so that their number is bounded. This is promised for
    greenlets alone: what another ``ident_func`` returns (a number, a string) may
    not take weak references, so its entries stay until they are released.

    Attributes:
        key: where in a greenlet's lane this storage has its part.
        others: the values of idents that are no greenlets.

    """

    __slots__ = ("__weakref__", "_greenlets", "_sweep_at", "key", "others")

    def __init__(self) -> None:
        self.key = next(_keys)
        # Weak references to every greenlet that has a part for this storage. Their
        # callback is the set's own discard: no Python code runs while collecting.
        self._greenlets: set[weakref.ref[greenlet]] = set()
        self.others: dict[Hashable, Values] = {}
        self._sweep_at = SWEEP_AT

    def own(self, ident: Hashable) -> Values:
        """Return the values of ``ident``, making room for them if there are none."""
        if not isinstance(ident, greenlet):
            return self.others.setdefault(ident, Values())
        lane = ident.__dict__.get(LANE)
        if lane is None:
            lane = ident.__dict__[LANE] = {}
            # A gevent.Greenlet tells when it has finished; somebody may keep a
            # reference to it long after that, and its data should not wait.
            rawlink = getattr(ident, "rawlink", None)
            if rawlink is not None:
                rawlink(clear_lane)
        values: Values | None = lane.get(self.key)
        if values is None:
            values = lane[self.key] = Values()
            self._greenlets.add(weakref.ref(ident, self._greenlets.discard))
            if len(self._greenlets) >= self._sweep_at:
                self._sweep()
        return values

    def _sweep(self) -> None:
        """Drop the lanes of greenlets that are dead and not collected.

        Somebody may still refer to them, or they are in a cycle that the collector
        does not find, such as through a plain dict: see :class:`Values`. Sweeping
        again only at twice what is left costs a constant time for each greenlet.
        """
        for reference in list(self._greenlets):
            ident = reference()
            if ident is not None and ident.dead:
                clear_lane(ident)
                self._greenlets.discard(reference)
        self._sweep_at = max(SWEEP_AT, 2 * len(self._greenlets))

    def find(self, ident: Hashable) -> Values | None:
        """Return the values of ``ident``, or None when it has no entry."""
        if isinstance(ident, greenlet):
            values: Values | None = ident.__dict__.get(LANE, {}).get(self.key)
        else:
            values = self.others.get(ident)
        return values or None

    def release(self, ident: Hashable) -> None:
        """Drop every value of ``ident``. Other idents are not touched.

        A greenlet keeps its empty dict: on a keep-alive connection the next
        request fills it again without being registered anew.
        """
        if isinstance(ident, greenlet):
            values = self.find(ident)
            if values is not None:
                values.clear()
        else:
            self.others.pop(ident, None)

    def __getitem__(self, ident: Hashable) -> Values:
        values = self.find(ident)
        if values is None:
            raise KeyError(ident)
        return values

    def __iter__(self) -> Iterator[Hashable]:
        self._sweep()
        # Copied in one step each, since other threads and destructors add and
        # discard while this generator is suspended.
        for reference in list(self._greenlets):
            ident = reference()
            if ident is not None and self.find(ident):
                yield ident
        for other, values in list(self.others.items()):
            if values:
                yield other

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __del__(self) -> None:
        # The Local is gone, the greenlets are not: take its part out of each lane.
        for reference in list(self._greenlets):
            ident = reference()
            if ident is not None:
                ident.__dict__.get(LANE, {}).pop(self.key, None)
        self._greenlets.clear()
