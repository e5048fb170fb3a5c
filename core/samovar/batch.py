"""Batches: many studies, one after the other or on many machines; one failure stops no other.

A batch keeps a record, ``batch.json``, in its output folder: of every study what it was asked (as
a hash), how it went and which manifest it left. What is recorded as done, with the same question
and an untouched manifest, need not be done again.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from samovar.errors import InputError, UsageError
from samovar.file_checks import require_writable
from samovar.image import output_stem
from samovar.manifest import to_json
from samovar.naming import did_you_mean
from samovar.privacy import names_somebody
from samovar.staging import stage

RECORD = "batch.json"
SUMMARY = "summary.csv"
Status = Literal["begun", "done", "failed", "done before"]


@dataclass(frozen=True)
class Study:
    """One input, the name of its outputs, and what is asked of it alone."""

    input: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    """By option name (``box``, ``series``); of a job file's columns."""
    own_name: str = ""
    """As its files call it, where that names the patient; empty: as ``name``."""
    named: bool = field(default=False, compare=False)
    """A table of jobs states the name."""


@dataclass(frozen=True)
class Outcome:
    """How a study went."""

    name: str
    status: Status
    objects: int = 0
    empty: int = 0
    """Objects that were asked for and not found."""
    seconds: float = 0.0
    message: str = ""
    outputs: tuple[str, ...] = ()
    """Names in the output folder."""
    manifest_sha256: str = ""


def name_studies(inputs: Sequence[str]) -> list[Study]:
    """Studies named by their files or folders; by the folder above too where that is not enough.

    ``a/ct.nii.gz`` and ``b/ct.nii.gz`` become ``a_ct`` and ``b_ct``; what still is the same gets
    a number.
    """
    places = [Path(text).resolve() for text in inputs]
    names = [output_stem(place) for place in places]
    twice = {n for n, count in Counter(names).items() if count > 1}
    names = [
        f"{place.parent.name}_{name}" if name in twice else name
        for place, name in zip(places, names, strict=True)
    ]
    counted: Counter[str] = Counter()
    studies = []
    for text, name in zip(inputs, names, strict=True):
        counted[name] += 1
        number = f"_{counted[name]}" if counted[name] > 1 else ""
        studies.append(Study(text, f"{name}{number}"))
    return studies


def without_private_names(studies: Sequence[Study]) -> list[Study]:
    """Studies called ``study_0003``, by their place, where their own name holds private words.

    A name that a table of jobs states is somebody's choice and stays.
    """
    return [
        replace(study, name=f"study_{number:04d}", own_name=study.name)
        if not study.named and names_somebody(study.name)
        else study
        for number, study in enumerate(studies, start=1)
    ]


def read_jobs(path: str, known: Iterable[str], files: Iterable[str] = ("prompts",)) -> list[Study]:
    """Studies of a table: column ``input``, perhaps ``name``, and any option of ``segment``.

    An empty cell means what the command line says. Files are looked for beside the table.

    Args:
        known: options that a column may be named after.
        files: those among them that name files.

    Raises:
        InputError: no table, no rows, an unknown column, or two studies of one name.
    """
    table = Path(path)
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a table ({error}): save it as CSV") from error
    first = text.partition("\n")[0]
    rows = list(csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count)))
    columns = [(c or "").strip() for c in (rows[0] if rows else {}) if c is not None]
    if "input" not in columns:
        raise InputError(f"{path}: needs a column 'input' and a row a study")
    for column in columns:
        if column not in {"input", "name", *known}:
            hint = did_you_mean(column, known) or ": name columns after options of segment"
            raise InputError(f"{path}: column {column!r} is unknown{hint}")
    studies = [_study(table, row, number, set(files)) for number, row in enumerate(rows, start=2)]
    named = name_studies([s.input for s in studies])
    studies = [
        replace(s, name=s.name or n.name, named=bool(s.name))
        for s, n in zip(studies, named, strict=True)
    ]
    for name, count in Counter(s.name for s in studies).items():
        if count > 1:
            raise InputError(f"{path}: {count} studies are named {name!r}: name every one its own")
    return studies


def _study(table: Path, row: Mapping[str | None, Any], number: int, files: set[str]) -> Study:
    if None in row:
        raise InputError(f"{table}: row {number} has more cells than the first row names")
    cells = {(k or "").strip(): (v or "").strip() for k, v in row.items()}
    given = {k: v for k, v in cells.items() if v and k not in ("input", "name")}
    if not cells["input"]:
        raise InputError(f"{table}: row {number} has no input")
    for key in files & set(given):
        given[key] = str(table.parent / given[key])
    name = cells.get("name", "")
    if name and (name != Path(name).name or name.startswith(".")):
        raise InputError(f"{table}: row {number}: {name!r} is no plain name for a file")
    where = cells["input"] if "://" in cells["input"] else str(table.parent / cells["input"])
    return Study(where, name, given)


def fingerprint(path: str) -> list[Any]:
    """Names, sizes and times of a file, or of everything in a folder: whether it is the same."""
    place = Path(path)
    files = [place] if not place.is_dir() else sorted(p for p in place.rglob("*") if p.is_file())
    found = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            continue
        name = file.name if file == place else str(file.relative_to(place))
        found.append([name, state.st_size, state.st_mtime_ns])
    return found


def digest(question: Any) -> str:
    """The hash of a question, JSON-able, for the record."""
    return sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()


class Record:
    """``batch.json``: what is known of the studies of an output folder.

    Raises:
        UsageError: the folder holds a record that is none.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, folder / RECORD
        require_writable(self._file, "")
        self._studies: dict[str, dict[str, Any]] = {}
        if self._file.is_file():
            try:
                self._studies = dict(json.loads(self._file.read_text("utf-8"))["studies"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise UsageError(
                    f"{self._file}: is no record of a batch: choose another folder"
                ) from error

    def finished(self, name: str, asked: str) -> Outcome | None:
        """The outcome of a study that was done, was asked the same and has kept its outputs."""
        known = self._studies.get(name)
        if known is None or known.get("asked") != asked or known.get("status") != "done":
            return None
        outputs = [self.folder / text for text in known["outputs"]]
        manifest = self.folder / f"{name}.json"
        if not all(p.is_file() for p in outputs) or not manifest.is_file():
            return None
        if file_digest(manifest) != known["manifest_sha256"]:
            return None
        fields = {k: v for k, v in known.items() if k not in ("asked", "status", "outputs")}
        return Outcome(name, status="done before", outputs=tuple(known["outputs"]), **fields)

    def begun(self, name: str, asked: str) -> bool:
        """Whether a study was begun with this very question."""
        return self._studies.get(name, {}).get("asked") == asked

    def keep(self, outcome: Outcome, asked: str) -> None:
        """Write down how a study went, or that it was begun."""
        kept = {k: v for k, v in asdict(outcome).items() if k != "name"}
        self._studies[outcome.name] = {"asked": asked, **kept}
        text = to_json({"studies": self._studies})
        stage(self._file, "the batch", lambda t: t.write_text(text, encoding="utf-8")).commit()


def file_digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def write_summary(outcomes: Sequence[Outcome], folder: Path) -> Path:
    """``summary.csv``: one row a study."""
    target = folder / SUMMARY
    columns = ("name", "status", "objects", "empty", "seconds", "message")

    def write(temporary: Path) -> None:
        with temporary.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            table.writerow(columns)
            table.writerows([getattr(o, c) for c in columns] for o in outcomes)

    stage(target, "the summary", write).commit()
    return target


def run_studies(
    questions: Sequence[tuple[Study, str]],
    work: Callable[[Sequence[Study]], Iterator[Outcome]],
    record: Record,
    *,
    resume: bool = False,
    tell: Callable[[Outcome, int, int], None] | None = None,
) -> list[Outcome]:
    """Every study's outcome, in the order of the questions.

    Args:
        questions: studies and the digests of what is asked of them.
        work: does what is left, in any order; it catches what goes wrong with one study.
        resume: leave out what the record says was done.
        tell: called after each study with how many of all are done.

    Raises:
        KeyboardInterrupt: after the outcomes so far, and the summary, were written down.
    """
    asked = {study.name: digest for study, digest in questions}
    outcomes: dict[str, Outcome] = {}
    left = []
    for study, digest_ in questions:
        known = record.finished(study.name, digest_) if resume else None
        if known is None:
            left.append(study)
        else:
            outcomes[study.name] = known
    for study in left:
        record.keep(Outcome(study.name, "begun"), asked[study.name])
    try:
        for outcome in work(left) if left else ():
            outcomes[outcome.name] = outcome
            record.keep(outcome, asked[outcome.name])
            if tell is not None:
                tell(outcome, len(outcomes), len(questions))
    finally:
        ordered = [outcomes[s.name] for s, _ in questions if s.name in outcomes]
        write_summary(ordered, record.folder)
    return ordered
