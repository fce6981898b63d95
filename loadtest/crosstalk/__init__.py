"""Crosstalk: proves with Locust that a server's requests stay apart.

It never imports ``greenlane``: it talks to a server over sockets and learns from
it which strategies there are. The words are those of the verdict table: nonce,
checkpoint, check, cross-talk, overlap, subject, control, verdict.
"""
