"""Generated images with exact ground truth, for samovar's demo, tests and training."""

from __future__ import annotations

from pathlib import Path


def write_demo_inputs(folder: str | Path) -> dict[str, Path]:
    """Write the inputs of ``make demo``; see :func:`samovar_datasets.demo.write_demo_inputs`."""
    from samovar_datasets.demo import write_demo_inputs as write

    return write(folder)
