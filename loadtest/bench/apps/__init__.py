"""The applications that every server runs alike; this folder is on the path of each.

Rule: an application imports only what the environments of all its servers have, and nothing of the benchmark.
"""
