"""Every order: a few small requests run in all the orders in which they can, under each strategy.

A race shows what happened to come; here nothing is left to luck. The page asks for a
document for each program, which a process of its own makes.

The view is exported lazily (PEP 562), so that this process can patch before anything
else is imported.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenlane.demo.orders.page import OrdersPage as OrdersPage

__all__ = ["OrdersPage"]


def __getattr__(name: str) -> object:
    """Import the view when it is asked for.

    Raises:
        AttributeError: the package exports no such name.

    """
    if name != "OrdersPage":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from greenlane.demo.orders.page import OrdersPage

    return OrdersPage
