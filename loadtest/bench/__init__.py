"""The benchmarks: Greenlane's server and Locals beside others, and what its ways of testing cost.

Rule: a figure comes from a run and stands beside the others of the same run. Servers are measured over
sockets, each in a process of its own, so nothing here imports `greenlane` but what measures it in process.
"""
