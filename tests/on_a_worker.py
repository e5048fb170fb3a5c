"""Questions that a worker of dask answers about itself."""

from samovar import kit


def kits() -> tuple[int, int]:
    """How many kits it holds, and how many jobs it made of them."""
    return len(kit._kits), len(kit._jobs)
