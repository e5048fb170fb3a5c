"""Evaluation: how right a model is, set by set, beside what costs nothing.

``samovar eval`` is the command; :func:`samovar.evaluation.run.evaluate` the function behind it.
Nothing here is imported by segmentation.
"""
