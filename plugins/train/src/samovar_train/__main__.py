"""`python -m samovar_train RECIPE.toml [--fresh]`: train, or go on training."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    paths = [a for a in arguments if not a.startswith("-")]
    if len(paths) != 1:
        print("usage: python -m samovar_train RECIPE.toml [--fresh]", file=sys.stderr)  # noqa: T201
        return 2
    from samovar_train.loop import run

    print(run(paths[0], resume="--fresh" not in arguments))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
