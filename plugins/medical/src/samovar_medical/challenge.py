"""``samovar challenge``: a folder of cases in, a folder of segmentations out, a table of seconds.

The protocol of "Segment Anything in Medical Images on Laptop" (CVPR 2024): a case is an npz with
``imgs`` and ``boxes``, the answer an npz of the same name with ``segs``.
"""

from __future__ import annotations

import csv as csv_module
import io
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from samovar.errors import Cancelled, InputError, OutputError, SamovarError, UsageError
from samovar.file_checks import require_writable
from samovar.reporting import print_json, print_line, print_table, results_kept_clean, say
from samovar.staging import all_or_nothing, stage
from samovar_medical.challenge_score import Score, mean_score, score_case
from samovar_medical.npz import NpzFormat, ZMax, read_case

SUFFIX = ".npz"


@dataclass(frozen=True)
class Row:
    """What became of one case."""

    case: str
    outcome: str
    """``done``, ``kept`` (it was there) or ``failed``."""
    seconds: float | None = None
    objects: int | None = None
    score: Score | None = None
    error: str = ""


@dataclass(frozen=True)
class Settings:
    """How the cases are done."""

    z_max: ZMax
    overwrite: bool
    truth: Path | None
    spacing: str


@dataclass
class Loading:
    """The model, loaded when the first case needs it."""

    load: Callable[[], Any]
    model: Any = None
    seconds: float = field(default=0.0)

    def get(self) -> Any:
        if self.model is None:
            started = time.perf_counter()
            self.model = self.load()
            self.seconds = time.perf_counter() - started
        return self.model

    def close(self) -> None:
        if self.model is not None:
            self.model.close()


def run_challenge(
    *,
    in_dir: str,
    out_dir: str,
    model: str = "tiny",
    z_max: str = "inclusive",
    overwrite: bool = False,
    score: str | None = None,
    spacing: str = "xyz",
    csv: str | None = None,
    json: bool = False,
    runtime: str = "default",
    precision: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
    accept_license: Sequence[str] | None = None,
) -> int:
    """Runs the command; 0 when every case is there, 1 when some failed.

    Raises:
        InputError, UsageError, OutputError: nothing was done.
    """
    from samovar.models import load_model

    settings = _settings(z_max, overwrite, score, spacing)
    cases, target = _cases(in_dir), _folder(out_dir, in_dir)
    if csv:
        require_writable(Path(csv))

    def load() -> Any:
        return load_model(
            model, runtime=runtime, precision=precision, device=device, threads=threads,
            accept_license=tuple(accept_license or ()),
        )  # fmt: skip

    loading = Loading(load)
    with results_kept_clean(), closing(loading):
        if any(_wanted(c, target, settings) for c in cases):
            loading.get()  # a model that cannot be loaded is no failure of every single case
        rows = []
        for number, path in enumerate(cases, start=1):
            rows.append(_row(path, target, settings, loading))
            if not json:
                _say(number, len(cases), rows[-1])
        described = loading.model.describe() if loading.model is not None else None
    if csv:
        _write_text(Path(csv), _as_csv(rows))
    _report(rows, described, loading.seconds, settings, as_json=json)
    return 1 if any(r.outcome == "failed" for r in rows) else 0


def _settings(z_max: str, overwrite: bool, score: str | None, spacing: str) -> Settings:
    if z_max not in ("inclusive", "exclusive"):
        raise UsageError(f"--z-max {z_max}: choose inclusive or exclusive")
    if spacing not in ("xyz", "zyx"):
        raise UsageError(f"--spacing {spacing}: choose xyz or zyx")
    truth = Path(score) if score else None
    if truth is not None and not truth.is_dir():
        raise InputError(f"{truth}: is no folder of ground truth (npz with gts): check the path")
    return Settings(cast(ZMax, z_max), overwrite, truth, spacing)


def _cases(in_dir: str) -> list[Path]:
    folder = Path(in_dir)
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder: give the folder with the cases")
    found = sorted(
        p for p in folder.iterdir() if p.suffix.lower() == SUFFIX and not p.name.startswith(".")
    )
    if not found:
        raise InputError(f"{folder}: holds no cases: they are files like 2DBox_….npz, 3DBox_….npz")
    return found


def _folder(out_dir: str, in_dir: str) -> Path:
    folder = Path(out_dir)
    if folder.exists() and folder.samefile(in_dir):
        raise OutputError(f"{folder}: is the folder of the cases: choose another")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror or error}): choose another folder"
        ) from error
    return folder


def _wanted(case: Path, target: Path, settings: Settings) -> bool:
    return settings.overwrite or not (target / case.name).exists()


def _row(case: Path, target: Path, settings: Settings, loading: Loading) -> Row:
    """One case; whatever goes wrong with it stays with it."""
    try:
        if _wanted(case, target, settings):
            started = time.perf_counter()
            objects = _segment(case, target / case.name, settings.z_max, loading.get())
            row = Row(case.name, "done", time.perf_counter() - started, objects)
        else:
            row = Row(case.name, "kept")
        if settings.truth is None:
            return row
        score = score_case(target / case.name, settings.truth / case.name, settings.spacing)
        return Row(row.case, row.outcome, row.seconds, row.objects, score)
    except (Cancelled, KeyboardInterrupt):
        raise
    except SamovarError as error:
        return Row(case.name, "failed", error=" ".join(str(error).split()))
    except MemoryError:
        return Row(case.name, "failed", error=f"{case}: does not fit into this machine's memory")
    except Exception as error:
        cause = " ".join(f"{type(error).__name__}: {error}".split())
        return Row(case.name, "failed", error=f"{case}: {cause[:200]}")


def _segment(path: Path, target: Path, z_max: ZMax, model: Any) -> int:
    """Segment one case and write its answer whole; returns how many objects were asked for."""
    from samovar import api

    case = read_case(path)
    prompts = case.prompts(z_max)
    with case.image() as image:
        objects = api.segment(image, model=model, prompts=prompts)
        with all_or_nothing() as staged:
            staged.append(
                stage(
                    target,
                    "samovar-medical/npz",
                    lambda temporary: NpzFormat().write(objects, temporary, image),
                )
            )
    return len(prompts)


def _say(number: int, count: int, row: Row) -> None:
    took = "" if row.seconds is None else f" in {row.seconds:.2f} s"
    say(f"{number}/{count} {row.case}: {row.error or row.outcome + took}")


def _report(
    rows: Sequence[Row], model: Any, loading: float, settings: Settings, *, as_json: bool
) -> None:
    counts = {o: sum(r.outcome == o for r in rows) for o in ("done", "kept", "failed")}
    means = _means(rows) if settings.truth is not None else {}
    if as_json:
        print_json(
            {
                "model": model, "loading_seconds": loading, "z_max": settings.z_max,
                "cases": [_record(r) for r in rows], "counts": counts,
                "means": {k: {"cases": n, "DSC": m.dsc, "NSD": m.nsd}
                          for k, (n, m) in means.items()},
            }
        )  # fmt: skip
        return
    columns = list(_record(rows[0]))
    print_table(columns, [list(_record(r).values()) for r in rows])
    for name, (count, mean) in means.items():
        print_line(f"{name}, {count} cases: DSC {mean.dsc:.4f}, NSD at 2 mm {mean.nsd:.4f}")
    took = [r.seconds for r in rows if r.seconds is not None]
    if took:
        print_line(
            f"model loaded in {loading:.2f} s; {np.mean(took):.2f} s a case "
            f"({min(took):.2f} to {max(took):.2f})"
        )
    print_line(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


def _means(rows: Sequence[Row]) -> dict[str, tuple[int, Score]]:
    """Over pictures, volumes and all; a case that failed counts as 0."""
    groups = {
        "2-D": [r for r in rows if not r.case.upper().startswith("3D")],
        "3-D": [r for r in rows if r.case.upper().startswith("3D")],
        "all": list(rows),
    }
    return {
        name: (len(group), mean_score([r.score or Score(0.0, 0.0) for r in group]))
        for name, group in groups.items()
        if group
    }


def _record(row: Row) -> dict[str, Any]:
    score = row.score
    return {
        "case": row.case,
        "outcome": row.outcome,
        "seconds": None if row.seconds is None else round(row.seconds, 3),
        "objects": row.objects,
        "DSC": None if score is None else round(score.dsc, 4),
        "NSD": None if score is None else round(score.nsd, 4),
        "error": row.error or None,
    }


def _as_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv_module.DictWriter(text, list(_record(rows[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_record(r) for r in rows)
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    with all_or_nothing() as staged:
        staged.append(
            stage(path, "the table", lambda temporary: temporary.write_text(text, encoding="utf-8"))
        )
