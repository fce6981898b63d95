"""The defaults of a run, shared by ``crosstalk prove`` and plain Locust.

They are made for a machine with two cores: one for the server, one for Locust.
"""

USERS = 2_500
"""Users at once, each with one request in flight: the server holds nearly all of them at a time."""

DURATION = 60.0
"""Seconds of load on the strategies that must hold, and as many again when the floor asks for it."""

MIN_REQUESTS = 15_000
"""The floor: complete requests for each strategy that must hold."""

HOPS = 10
"""Switches in each request, each followed by a checkpoint."""

PAUSE = 300
"""Milliseconds that a switch waits: long enough to keep thousands in flight, short enough for the floor."""

CONTROL_USERS = 100
"""Users at once on the controls, which fail with a handful."""

CONTROL_PAUSE = 5
"""Milliseconds that a switch waits in a control's request."""

CONTROL_REQUESTS = 300
"""Complete requests after which a strategy that nothing holds for has been seen enough."""

CONTROL_DURATION = 15.0
"""Seconds after which the controls' part ends in any case."""

MATRIX_REQUESTS = 600
"""Complete requests for each cell of a matrix: 3/N is half a per cent."""

MATRIX_USERS = 12
"""Users at once on each cell; ten cells and more are loaded at a time."""

MATRIX_HOPS = 4
"""Switches in each request of a matrix."""

MATRIX_PAUSE = 8
"""Milliseconds that a switch waits in a matrix: short, since there are many cells and one loop."""

RACE_REQUESTS = 200
"""Requests of each cell of a race: as many as one can look at."""

RACE_MOST_REQUESTS = 2_000
"""Requests of each cell of a race, at most: more is for ``crosstalk prove``, and nobody looks at each."""

RACE_MOST_AT_ONCE = 500
"""Of these, at the same time, at most."""

RACE_MOST_CELLS = 2
"""Cells that are raced side by side, at most, beside a control."""

RACE_HOPS = 3
"""Switches in each request of a race."""

RACE_MOST_HOPS = 16
"""Switches in each request of a race, at most: each is drawn."""

RACE_PAUSE = 20
"""Milliseconds that a switch waits in a race: long enough to keep many in flight, short enough to look on."""
