"""A race: a few cells of the hazards' matrix, a given number of requests each, watched request by request.

What the matrix measures for a report, a race shows while it happens: on a terminal, or in
lines of JSON for another program. The cells, the users and the judging are the matrix's own.
"""
