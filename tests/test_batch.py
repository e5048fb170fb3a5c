import json

import pytest

from samovar.batch import (
    Outcome,
    Record,
    Study,
    file_digest,
    fingerprint,
    name_studies,
    read_jobs,
    run_studies,
)
from samovar.errors import InputError, UsageError


def test_studies_are_named_by_what_tells_them_apart(tmp_path):
    inputs = ["a/ct.nii.gz", "b/ct.nii.gz", "mr.nrrd", str(tmp_path), "x/b/ct.nii.gz"]
    assert [s.name for s in name_studies(inputs)] == ["a_ct", "b_ct", "mr", tmp_path.name, "b_ct_2"]
    assert [s.input for s in name_studies(inputs)] == inputs


def table(folder, text: str) -> str:
    path = folder / "jobs.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_table_of_jobs(tmp_path):
    text = 'input;name;prompts;box\nct.nii.gz;first;p.json;\nmr.nrrd;;;"a=1,2,3,4,5,6"\n'
    first, second = read_jobs(table(tmp_path, text), ["prompts", "box"])
    assert first == Study(
        str(tmp_path / "ct.nii.gz"), "first", {"prompts": str(tmp_path / "p.json")}
    )
    assert second.name == "mr"
    assert second.options == {"box": "a=1,2,3,4,5,6"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file\nct.nii\n", "needs a column 'input'"),
        ("input\n", "needs a column 'input' and a row"),
        ("input,promts\nct.nii,p.json\n", "did you mean 'prompts'"),
        ("input,name\nct.nii,x\nmr.nii,x\n", "2 studies are named 'x'"),
        ("input,name\nct.nii,../x\n", "no plain name"),
        ("input,name\n,x\n", "row 2 has no input"),
        ("input\nct.nii,1,2\n", "row 2 has more cells"),
    ],
)
def test_wrong_tables(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_jobs(table(tmp_path, text), ["prompts", "box"])
    assert "jobs.csv" in str(caught.value)


def test_a_changed_file_has_another_fingerprint(tmp_path):
    (tmp_path / "s").mkdir()
    for name in "ab":
        (tmp_path / "s" / name).write_text(name)
    before = fingerprint(str(tmp_path / "s"))
    assert before == fingerprint(str(tmp_path / "s"))
    (tmp_path / "s" / "b").write_text("longer")
    assert before != fingerprint(str(tmp_path / "s"))
    assert fingerprint(str(tmp_path / "missing")) == []


class Work:
    """Leaves a manifest and an output for every study; those called bad fail."""

    def __init__(self, folder) -> None:
        self.folder, self.done = folder, []

    def __call__(self, studies):
        for study in studies:
            if study.name == "stop":
                raise KeyboardInterrupt
            self.done.append(study.name)
            if study.name == "bad":
                yield Outcome("bad", "failed", message="no such file")
                continue
            manifest = self.folder / f"{study.name}.json"
            manifest.write_text("{}")
            (self.folder / f"{study.name}.nii").write_text("x")
            yield Outcome(
                study.name, "done", 3, outputs=(f"{study.name}.nii",),
                manifest_sha256=file_digest(manifest),
            )  # fmt: skip


def questions(*names: str, asked: str = "q"):
    return [(Study(n, n), asked) for n in names]


def statuses(outcomes) -> list[str]:
    return [f"{o.name} {o.status}" for o in outcomes]


def test_one_failure_stops_no_other_and_only_what_is_left_is_resumed(tmp_path):
    work = Work(tmp_path)
    first = run_studies(questions("a", "bad", "b"), work, Record(tmp_path))
    assert statuses(first) == ["a done", "bad failed", "b done"]
    work.done.clear()
    again = run_studies(questions("a", "bad", "b", "c"), work, Record(tmp_path), resume=True)
    assert work.done == ["bad", "c"]
    assert statuses(again) == ["a done before", "bad failed", "b done before", "c done"]
    assert [o.objects for o in again] == [3, 0, 3, 3]
    assert len((tmp_path / "summary.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("change", ["question", "manifest", "output gone", "manifest gone"])
def test_what_is_not_as_it_was_is_done_again(tmp_path, change):
    work = Work(tmp_path)
    run_studies(questions("a"), work, Record(tmp_path))
    if change == "manifest":
        (tmp_path / "a.json").write_text("{ }")
    elif change == "output gone":
        (tmp_path / "a.nii").unlink()
    elif change == "manifest gone":
        (tmp_path / "a.json").unlink()
    asked = "other" if change == "question" else "q"
    run_studies(questions("a", asked=asked), work, Record(tmp_path), resume=True)
    assert work.done == ["a", "a"]


def test_without_resume_everything_is_done(tmp_path):
    work = Work(tmp_path)
    for _ in range(2):
        run_studies(questions("a"), work, Record(tmp_path))
    assert work.done == ["a", "a"]


def test_an_interrupt_keeps_what_was_finished(tmp_path):
    work = Work(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_studies(questions("a", "stop", "b"), work, Record(tmp_path))
    assert (tmp_path / "summary.csv").read_text().splitlines()[1].startswith("a,done,3")
    done = run_studies(questions("a", "b"), work, Record(tmp_path), resume=True)
    assert statuses(done) == ["a done before", "b done"]


def test_progress_counts_all(tmp_path):
    told = []
    run_studies(
        questions("a", "b"), Work(tmp_path), Record(tmp_path), tell=lambda o, *n: told.append(n)
    )
    assert told == [(1, 2), (2, 2)]


def test_a_record_that_is_none_is_refused(tmp_path):
    (tmp_path / "batch.json").write_text(json.dumps([1]))
    with pytest.raises(UsageError, match="no record of a batch"):
        Record(tmp_path)
