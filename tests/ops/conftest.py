"""What these tests get besides: a meter that measures nothing before and after each."""

from collections.abc import Iterator

import pytest

from greenlane.ops.meter import Meter, meter


@pytest.fixture(autouse=True)
def own_meter() -> Iterator[Meter]:
    """The meter of the tests' event loop, stopped: it would go on for a while, and trace."""
    the_meter = meter()
    the_meter.stop()
    yield the_meter
    the_meter.stop()
