"""Formats: who reads and writes what, in which order, and what is said where nobody does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from samovar import formats
from samovar.errors import InputError, OutputError, PluginError, PromptError, UsageError
from samovar.formats import open_image, read_prompts, write_all, write_objects, writer_for
from samovar.grid import Frame, Grid
from samovar.image import ArrayImage, ImageInfo
from samovar.masks import PixelMask
from samovar.objects import Objects, SegmentedObject
from samovar.plugins import Registry
from samovar.prompts import Prompt, Prompts
from samovar.specs import FormatSpec, OptionSpec

PIXELS = np.arange(48, dtype=np.uint8).reshape(6, 8)


class Made:
    """A plugin made of format specs, whose readers and writers are the functions given."""

    PLUGIN_API = (1, 0)

    def __init__(self, *specs: FormatSpec) -> None:
        self.specs = specs


def image(domain: str = "volume", source: str = "ct.abc") -> ArrayImage:
    shape = (2, 6, 8) if domain == "volume" else (6, 8)
    frame = {"volume": Frame.lps(), "raster": Frame.from_crs("EPSG:32645")}.get(domain)
    grid = Grid(shape, np.eye(len(shape) + 1), frame or Frame.index())
    return ArrayImage(np.zeros(shape, np.int16), grid, ImageInfo(source, domain, "made"))


def objects_of(opened: ArrayImage) -> Objects:
    inside = np.zeros(opened.grid.shape, bool)
    inside[..., 1:3, 2:5] = True
    item = SegmentedObject.from_mask(1, PixelMask.of(inside), name="liver", score=0.9)
    return Objects(opened.grid, (item,), {"samovar": "0.1.0"})


@pytest.fixture
def behaviour(monkeypatch):
    """Registry with made-up formats; ``behaviour.add(distribution, spec, object)``."""

    class Behaviour(Registry):
        def __init__(self) -> None:
            super().__init__()
            self.made: list[FormatSpec] = []
            self.objects: dict[str, object] = {}

        def add(self, distribution: str, behaves: object, **fields) -> None:
            fields.setdefault("name", "made")
            spec = FormatSpec(target="a:b", distribution=distribution, **fields)
            self.made.append(spec)
            self.objects[spec.canonical] = behaves

        def specs(self, kind=None):
            return tuple(sorted(self.made, key=lambda s: s.canonical))

        def load(self, spec, **options):
            return self.objects[spec.canonical]

    found = Behaviour()
    monkeypatch.setattr(formats, "registry", lambda: found)
    return found


class Opens:
    def __init__(self, tag: str = "", error: Exception | None = None) -> None:
        self.tag, self.error, self.options = tag, error, {}

    def open(self, path, **options):
        self.options = options
        if self.error is not None:
            raise self.error
        return ArrayImage(PIXELS, info=ImageInfo(path, "picture", self.tag))


class Writes:
    def __init__(self, error: BaseException | None = None, text: str = "x") -> None:
        self.error, self.text, self.seen = error, text, []

    def write(self, objects, path: Path, image, **options):
        self.seen.append((path, options))
        path.write_text(self.text)
        path.with_name(path.name + "-journal").write_text("beside")
        if self.error is not None:
            raise self.error


def file(folder: Path, name: str, content: bytes = b"data") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


class TestChoosingReaders:
    def opened_by(self, path) -> str:
        return open_image(path).info.format

    def test_longest_suffix_wins(self, behaviour, tmp_path):
        behaviour.add("a", Opens("gz"), suffixes=(".gz",), reads=True)
        behaviour.add("b", Opens("nii.gz"), suffixes=(".nii", ".nii.gz"), reads=True)
        assert self.opened_by(file(tmp_path, "CT.NII.GZ")) == "nii.gz"
        assert self.opened_by(file(tmp_path, "x.gz")) == "gz"

    def test_plugin_comes_before_the_host(self, behaviour, tmp_path):
        behaviour.add("samovar", Opens("host"), suffixes=(".tif",), reads=True)
        behaviour.add("zzz", Opens("plugin"), suffixes=(".tif",), reads=True)
        assert self.opened_by(file(tmp_path, "x.tif")) == "plugin"

    def test_host_gets_what_the_plugin_refuses(self, behaviour, tmp_path):
        behaviour.add("samovar", Opens("host"), suffixes=(".tif",), reads=True)
        behaviour.add("zzz", Opens(error=InputError("not mine")), suffixes=(".tif",), reads=True)
        assert self.opened_by(file(tmp_path, "x.tif")) == "host"

    def test_first_refusal_is_the_one_that_is_said(self, behaviour, tmp_path):
        behaviour.add("samovar", Opens(error=InputError("host")), suffixes=(".tif",), reads=True)
        behaviour.add("zzz", Opens(error=InputError("plugin")), suffixes=(".tif",), reads=True)
        with pytest.raises(InputError, match="plugin"):
            open_image(file(tmp_path, "x.tif"))

    def test_magic_finds_what_the_suffix_does_not(self, behaviour, tmp_path):
        behaviour.add("a", Opens("a"), suffixes=(".aaa",), reads=True, magic=((4, b"AAAA"),))
        assert self.opened_by(file(tmp_path, "noname", b"0000AAAA")) == "a"

    def test_two_plugins_are_told_apart_by_magic(self, behaviour, tmp_path):
        behaviour.add("a", Opens("a"), suffixes=(".x",), reads=True, magic=((0, b"A"),))
        behaviour.add("b", Opens("b"), suffixes=(".x",), reads=True, magic=((0, b"B"),))
        assert self.opened_by(file(tmp_path, "1.x", b"B...")) == "b"

    def test_two_plugins_that_both_would(self, behaviour, tmp_path):
        behaviour.add("a", Opens("a"), suffixes=(".x",), reads=True)
        behaviour.add("b", Opens("b"), suffixes=(".x",), reads=True)
        path = file(tmp_path, "1.x")
        with pytest.raises(UsageError, match=r"a/made and b/made both read it.*--reader"):
            open_image(path)
        assert open_image(path, reader="b/made").info.format == "b"
        with pytest.raises(UsageError, match="ambiguous"):
            open_image(path, reader="made")

    def test_schemes_need_no_file(self, behaviour):
        behaviour.add("a", Opens("a"), suffixes=(".x",), reads=True, schemes=("/vsi", "https://"))
        assert self.opened_by("/vsicurl/https://host/x.tif") == "a"
        assert self.opened_by("https://host/x.tif") == "a"
        with pytest.raises(InputError, match="download it first"):
            open_image("s3://bucket/x.tif")

    def test_options_go_to_whom_they_belong(self, behaviour, tmp_path):
        mine, other = Opens("mine"), Opens("other")
        bands = OptionSpec("--bands", "", int, multiple=True)
        behaviour.add("a", mine, suffixes=(".x",), reads=True, options=(bands,))
        behaviour.add("b", other, suffixes=(".y",), reads=True)
        open_image(file(tmp_path, "1.x"), bands="4,3,2")
        assert mine.options == {"bands": [4, 3, 2]}
        open_image(file(tmp_path, "1.y"), bands=None)
        assert other.options == {}
        with pytest.raises(UsageError, match=r"b/made.*no option --bands \(it belongs to a/made\)"):
            open_image(tmp_path / "1.y", bands="1")

    def test_folders(self, behaviour, tmp_path):
        with pytest.raises(InputError, match="is a folder"):
            open_image(tmp_path)
        file(tmp_path, "IM0", b"\0" * 128 + b"DICM")
        with pytest.raises(InputError, match="pip install samovar-medical"):
            open_image(tmp_path)
        behaviour.add("a", Opens("series"), reads=True, folders=True)
        assert self.opened_by(tmp_path) == "series"

    @pytest.mark.parametrize("error", [ValueError("odd"), OSError("cut"), KeyError("k")])
    def test_library_errors_become_one_line(self, behaviour, tmp_path, error):
        behaviour.add("a", Opens(error=error), suffixes=(".x",), reads=True)
        with pytest.raises(InputError, match=r"1\.x: cannot be read by a/made.*damaged"):
            open_image(file(tmp_path, "1.x"))

    def test_reader_that_returns_no_image(self, behaviour, tmp_path):
        class Wrong:
            def open(self, path):
                return PIXELS

        behaviour.add("a", Wrong(), suffixes=(".x",), reads=True)
        with pytest.raises(InputError, match="report it to its authors"):
            open_image(file(tmp_path, "1.x"))


class TestNobodyReads:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("scan.nii.gz", b"\x1f\x8b", "pip install samovar-medical"),
            ("scan.nrrd", b"NRRD0004\n", "pip install samovar-medical"),
            ("scan.vrt", b"<VRTDataset>", "pip install samovar-geo"),
            ("empty.png", b"", "is empty .0 bytes."),
            ("notes.txt", "größer\n".encode(), "is a text file, not an image"),
            ("IM1", b"\0" * 128 + b"DICM", "is DICOM: pip install samovar-medical"),
            ("x.bin", b"\0\1\2", "no installed plugin recognises it"),
            ("boxes.json", b"[]", "is a file of prompts, not an image: give it with --prompts"),
        ],
    )
    def test_each_says_what_to_do(self, site, monkeypatch, tmp_path, name, content, message):
        monkeypatch.setenv("SAMOVAR_PLUGINS", "samovar")
        with pytest.raises(InputError, match=message) as caught:
            open_image(file(tmp_path, name, content))
        assert name in str(caught.value)

    def test_missing_file_names_its_neighbours(self, tmp_path):
        file(tmp_path, "liver_ct.nii.gz")
        with pytest.raises(InputError, match=r"no such file: did you mean liver_ct\.nii\.gz\?"):
            open_image(tmp_path / "liver-ct.nii.gz")
        with pytest.raises(InputError, match="no folder"):
            open_image(tmp_path / "absent" / "x.png")

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
    def test_unreadable_file(self, tmp_path):
        path = file(tmp_path, "x.png")
        path.chmod(0)
        with pytest.raises(InputError, match="cannot be read"):
            open_image(path)


class TestWriters:
    def test_suffix_and_domain_decide(self, behaviour, tmp_path):
        behaviour.add("a", Writes(), name="vol", suffixes=(".x",), writes=True, domains=("volume",))
        behaviour.add("a", Writes(), name="ras", suffixes=(".x",), writes=True, domains=("raster",))
        assert writer_for(tmp_path / "1.x", image("volume")).name == "vol"
        assert writer_for(tmp_path / "1.X", image("raster")).name == "ras"
        with pytest.raises(OutputError, match=r"does not write objects of a picture"):
            writer_for(tmp_path / "1.x", image("picture"))

    def test_raster_without_a_crs_may_be_a_picture(self, behaviour, tmp_path):
        behaviour.add("a", Writes(), suffixes=(".x",), writes=True, domains=("picture",))
        bare = image("picture")
        bare.info = ImageInfo("x.tif", "raster", "made")
        assert writer_for(tmp_path / "1.x", bare)
        with pytest.raises(OutputError):
            writer_for(tmp_path / "1.x", image("raster"))

    def test_who_writes_what_is_listed(self, behaviour, tmp_path):
        behaviour.add("a", Writes(), suffixes=(".x", ".xx"), writes=True)
        with pytest.raises(OutputError, match=r"nobody here writes \.yy;.*\.x \.xx by a"):
            writer_for(tmp_path / "1.yy", image())
        with pytest.raises(OutputError, match=r"\.nii\.gz \(pip install samovar-medical\)"):
            writer_for(tmp_path / "1.nii.gz", image())
        with pytest.raises(OutputError, match="a name without a suffix"):
            writer_for(tmp_path / "1", image())

    def test_places_that_cannot_be_written(self, behaviour, tmp_path, monkeypatch):
        behaviour.add("a", Writes(), suffixes=(".x",), writes=True)
        with pytest.raises(OutputError, match=r"there is no folder .*absent: create it"):
            writer_for(tmp_path / "absent" / "1.x", image())
        file(tmp_path, "plain")
        with pytest.raises(OutputError, match="is not a folder"):
            writer_for(tmp_path / "plain" / "1.x", image())
        (tmp_path / "folder.x").mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            writer_for(tmp_path / "folder.x", image())
        source = file(tmp_path, "in.x")
        with pytest.raises(OutputError, match="is the input itself"):
            writer_for(source, image(source=str(source)))

        def refuse(**options):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("samovar.file_checks.tempfile.TemporaryFile", refuse)
        with pytest.raises(OutputError, match=r"cannot be written to \(Read-only file system\)"):
            writer_for(tmp_path / "1.x", image())

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
    def test_read_only_folder(self, behaviour, tmp_path):
        behaviour.add("a", Writes(), suffixes=(".x",), writes=True)
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="cannot be written to"):
            writer_for(tmp_path / "1.x", image())

    def test_two_plugins_that_both_would(self, behaviour, tmp_path):
        behaviour.add("a", Writes(), suffixes=(".x",), writes=True)
        behaviour.add("samovar", Writes(), suffixes=(".x",), writes=True)
        assert writer_for(tmp_path / "1.x", image()).distribution == "a"
        behaviour.add("b", Writes(), suffixes=(".x",), writes=True)
        with pytest.raises(UsageError, match="a/made and b/made both write it"):
            writer_for(tmp_path / "1.x", image())


class TestAtomicOutputs:
    def left(self, folder: Path) -> list[str]:
        return sorted(p.name for p in folder.iterdir())

    def test_temporary_name_ends_as_the_target(self, behaviour, tmp_path):
        writer = Writes()
        behaviour.add("a", writer, suffixes=(".nii.gz",), writes=True)
        opened = image()
        write_objects(objects_of(opened), tmp_path / "Out.NII.gz", opened)
        ((temporary, _),) = writer.seen
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".NII.gz")
        assert temporary.name != "Out.NII.gz"
        assert self.left(tmp_path) == ["Out.NII.gz"]

    @pytest.mark.parametrize(
        ("error", "kind", "message"),
        [
            (ValueError("odd"), PluginError, r"1\.y: b/made failed: ValueError: odd"),
            (OSError(28, "No space left"), OutputError, r"1\.y: cannot be written .No space left"),
            (OutputError("my own words"), OutputError, "my own words"),
            (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        ],
    )
    def test_all_or_nothing(self, behaviour, tmp_path, error, kind, message):
        behaviour.add("a", Writes(), suffixes=(".x",), writes=True)
        behaviour.add("b", Writes(error), suffixes=(".y",), writes=True)
        file(tmp_path, "1.y", b"old")
        opened = image()
        with pytest.raises(kind, match=message):
            write_all(objects_of(opened), [tmp_path / "1.x", tmp_path / "1.y"], opened)
        assert self.left(tmp_path) == ["1.y"]
        assert (tmp_path / "1.y").read_bytes() == b"old"

    def test_writer_that_writes_nothing(self, behaviour, tmp_path):
        class Lazy:
            def write(self, objects, path, image):
                pass

        behaviour.add("a", Lazy(), suffixes=(".x",), writes=True)
        opened = image()
        with pytest.raises(PluginError, match="wrote no file"):
            write_objects(objects_of(opened), tmp_path / "1.x", opened)

    def test_options_reach_their_writer(self, behaviour, tmp_path):
        writer = Writes()
        option = OptionSpec("--dst-crs", "")
        behaviour.add("a", writer, suffixes=(".x",), writes=True, options=(option,))
        opened = image()
        write_objects(objects_of(opened), tmp_path / "1.x", opened, dst_crs="EPSG:4326", other=1)
        assert writer.seen[0][1] == {"dst_crs": "EPSG:4326"}


class TestReadingPrompts:
    class Reads:
        def __init__(self, answer) -> None:
            self.answer = answer

        def read_prompts(self, path, image, **options):
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    def test_by_suffix(self, behaviour, tmp_path):
        wanted = Prompts((Prompt(1, box=(0, 0, 2, 2)),))
        behaviour.add("a", self.Reads(wanted), suffixes=(".x",), reads_prompts=True)
        assert read_prompts(file(tmp_path, "1.x"), image()) is wanted

    @pytest.mark.parametrize("answer", [ValueError("odd"), Prompts(()), None])
    def test_one_line_for_what_is_wrong(self, behaviour, tmp_path, answer):
        behaviour.add("a", self.Reads(answer), suffixes=(".x",), reads_prompts=True)
        with pytest.raises(PromptError, match=r"1\.x"):
            read_prompts(file(tmp_path, "1.x"), image())

    def test_any_readable_label_image(self, behaviour, tmp_path):
        labels = np.zeros((6, 8), np.uint16)
        labels[2:4, 3:7] = 5

        class Labels:
            def open(self, path):
                return ArrayImage(labels, info=ImageInfo(path, "picture", "a"))

        behaviour.add("a", Labels(), suffixes=(".lab",), reads=True)
        found = read_prompts(file(tmp_path, "1.lab"), image("picture"))
        assert [(p.id, p.box) for p in found] == [(5, (3, 2, 7, 4))]

    def test_nobody_reads_it(self, behaviour, tmp_path):
        behaviour.add("a", self.Reads(None), suffixes=(".x",), reads_prompts=True)
        with pytest.raises(PromptError, match=r"1\.doc: .*give one of \.x, or a label image"):
            read_prompts(file(tmp_path, "1.doc"), image())
        with pytest.raises(InputError, match="no such file"):
            read_prompts(tmp_path / "absent.x", image())


def test_picture_round_trip(tmp_path):
    path = tmp_path / "x.png"
    PIL.Image.fromarray(PIXELS).save(path)
    opened = open_image(path)
    objects = objects_of(ArrayImage(PIXELS))
    write_objects(objects, tmp_path / "out.png", opened)
    assert np.array_equal(open_image(tmp_path / "out.png").read()[0], objects.labels())
