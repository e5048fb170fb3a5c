"""Preloaded by a worker of dask, which then believes that it runs on another processor."""

from samovar import kit

_here = kit._runtime


def _elsewhere(model):
    return {**_here(model), "instruction_set": "abacus"}


kit._runtime = _elsewhere
