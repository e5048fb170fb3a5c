"""``samovar eval``: its options, its refusals, and JSON on standard output and nothing else."""

import inspect
import json

import pytest

from evaluation_fakes import BoxModel, rectangle, write_set
from samovar.errors import DependencyError, OutputError, UsageError
from samovar.evaluation import references as references_module
from samovar.evaluation.command import EVAL_COMMAND, run_eval


@pytest.fixture
def model(monkeypatch):
    fake = BoxModel()
    monkeypatch.setattr("samovar.models.load_model", lambda *_args, **_options: fake)
    return fake


@pytest.fixture
def data(tmp_path):
    return str(write_set(tmp_path / "a", [rectangle((40, 50), (5, 5, 25, 25))] * 2))


def test_every_option_is_a_parameter_with_the_same_default():
    parameters = inspect.signature(run_eval).parameters
    assert [o.key for o in EVAL_COMMAND.options] == list(dict.fromkeys(parameters)) or {
        o.key for o in EVAL_COMMAND.options
    } == set(parameters)
    for option in EVAL_COMMAND.options:
        if not option.multiple:
            assert parameters[option.key].default == option.default, option.name


def test_json_is_all_of_standard_output(model, data, capsys):
    assert run_eval(data=data, json=True) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["datasets"]["a"]["dice"] == 1
    assert summary["model"] == {"name": "box"}
    assert summary["prompt"] == "box"
    assert model.closed


def test_a_table_for_people(model, tmp_path, capsys):
    cells = write_set(
        tmp_path / "a", [rectangle((40, 50), (5, 5, 25, 25))], {"0": "background", "*": "cell"}
    )
    assert run_eval(data=str(cells)) == 0
    table = capsys.readouterr().out
    assert "mean all" in table
    assert "1.000 / 1.000 / 1 of 1" in table


def test_the_command_line_takes_it(samovar, model, data, tmp_path):
    record = {"path": "a", "domain": "medical", "train": False, "validation": ["002"]}
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"datasets": [record]}))
    ran = samovar("eval", "--data", tmp_path, "--validation", "--unseen", "--clicks", 1, "--json")
    assert ran.code == 0
    summary = json.loads(ran.out)
    assert summary["datasets"]["a"]["images"] == 1
    assert summary["datasets"]["a"]["clicks"] == [1, 1]
    refused = samovar("eval", "--data", tmp_path / "absent")
    assert refused.code == 2
    assert refused.out == ""
    assert "no such file or folder" in refused.err


def test_files_are_written_and_failures_change_the_exit_code(model, data, tmp_path, capsys):
    (tmp_path / "a" / "images" / "002.png").write_bytes(b"broken")
    table, page = tmp_path / "t.csv", tmp_path / "t.md"
    status = run_eval(data=data, csv=str(table), markdown=str(page), worst=str(tmp_path / "w"))
    assert status == 1
    assert "failed: a/002" in capsys.readouterr().err
    assert table.read_text().startswith("level,name")
    assert "| a |" in page.read_text()
    assert (tmp_path / "w" / "index.html").is_file()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "t.csv", "t.md", "w"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"data": None}, UsageError, "--data is missing"),
        ({"adapter": "x"}, UsageError, "adapters come with samovar-lora"),
        ({"prompt": "circle"}, UsageError, "choose box, point, center or auto"),
        ({"csv": "absent/t.csv"}, OutputError, "folder does not exist"),
        ({"unseen": True}, UsageError, "--unseen"),
    ],
)
def test_refusals_say_what_to_do(model, data, options, error, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=words):
        run_eval(**{"data": data, **options})


def test_references_need_opencv_before_anything_runs(model, data, monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(references_module, "import_module", missing)
    with pytest.raises(DependencyError, match="grabcut"):
        run_eval(data=data, references=True)
    assert model.encoded == 0
