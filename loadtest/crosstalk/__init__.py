"""Crosstalk: proves with Locust that a server's requests stay apart."""
