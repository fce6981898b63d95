"""The matrix: every strategy in every hazard, and each hazard broken and fixed, all of it measured.

``listing`` reads what the server says of its hazards, ``plan`` makes cells of that,
``exercises`` are the Locust users, ``run`` loads cell after cell, ``verdict`` compares what
was measured with what is said, and ``show`` and ``report`` tell of it. Who judges a
cell's replies is :mod:`crosstalk.checker`, which is not told what to expect.
"""
