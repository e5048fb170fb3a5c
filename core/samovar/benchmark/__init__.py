"""Benchmark: the one place where speed and memory are measured.

Cases run as whole commands, each in a process of its own, so that cold start counts; they take
turns, so that a machine's moods hit all of them alike. ``python -m samovar.benchmark`` runs one.
"""
