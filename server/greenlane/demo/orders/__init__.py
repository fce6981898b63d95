"""Every order: a few small requests run in all the orders in which they can, under each strategy.

A race shows what happened to come; here nothing is left to luck. The page asks for a
document for each program, which a process of its own makes: nothing is imported here, so
that it can patch before anything else is.
"""
