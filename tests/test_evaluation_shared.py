"""The bundled model against everything that costs nothing, on the shared sample data.

A sample, to stay within minutes: 3 images a set, evenly spread, and at most the 2 largest objects
of each; thin structures are left out. The card has the whole (``make card``).
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from samovar.evaluation.references import References
from samovar.evaluation.run import Evaluation, Settings, evaluate_set
from samovar.evaluation.sets import EvaluationSet, find_sets
from samovar.evaluation.summary import summarise
from samovar.models import load_model

pytestmark = pytest.mark.shared
SAMPLE = Settings(validation=True, limit=3, most=2)


def measured(sets: list[EvaluationSet], settings: Settings) -> dict:
    references = References(grabcut=True)
    with load_model("tiny", threads=1) as model, ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda s: evaluate_set(s, model, settings, references), sets)
        evaluation = Evaluation(settings, tuple(results))
    assert not evaluation.failures
    return summarise(evaluation)


def wide(where: EvaluationSet) -> bool:
    return not all(where.thin(value) for value in where.classes if value > 0)


def say(name: str, row: dict) -> None:
    low, high = row["ci"]
    ahead, behind = row["margin_ci"]
    others = ", ".join(f"{k} {v:.3f}" for k, v in row["references"].items())
    print(
        f"\n{name}: Dice {row['dice']:.3f} [{low:.3f}, {high:.3f}] over {row['objects']} objects of"
        f" {len(row['sets'])} sets; {others}; ahead of {row['best_reference']} by"
        f" {row['margin']:+.3f} [{ahead:+.3f}, {behind:+.3f}]"
    )


@pytest.fixture
def sets(shared: Path) -> list[EvaluationSet]:
    pytest.importorskip("cv2", reason="GrabCut needs the extra samovar[grabcut]")
    found, _ = find_sets(shared / "data" / "MANIFEST.json")
    return [s for s in found if s.kind == "pictures" and wide(s)]


def test_tiny_beats_every_reference_on_the_mean_of_each_domain(sets):
    summary = measured([s for s in sets if s.train], SAMPLE)
    assert set(summary["domains"]) == {"medical", "remote_sensing"}
    for name, row in summary["domains"].items():
        say(f"{name}, validation", row)
    for name, row in summary["domains"].items():
        assert all(row["dice"] > level for level in row["references"].values()), name


def test_tiny_beats_every_reference_on_the_mean_of_unseen_sets(sets):
    unseen = [s for s in sets if s.unseen]
    assert len(unseen) >= 6
    row = measured(unseen, replace(SAMPLE, validation=False))["means"]["unseen"]
    say("unseen", row)
    assert all(row["dice"] > level for level in row["references"].values())
