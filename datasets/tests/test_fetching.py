"""Public sets from a local server: resumed, verified, unpacked safely, readable by the host."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samovar_datasets.__main__ import main
from samovar_datasets.fetching import FetchError, fetch_archives, unpack
from samovar_datasets.layouts import LAYOUTS
from samovar_datasets.public_sets import Archive, PublicSet, public_sets

pooch = pytest.importorskip("pooch")


class Server(ThreadingHTTPServer):
    """Serves ``files``; cuts the connection of a file once after ``cut`` bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: dict[str, int] = {}
        self.asked: list[tuple[str, str | None]] = []

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        name = self.path.lstrip("/")
        body, wanted = self.server.files.get(name), self.headers.get("Range")
        self.server.asked.append((name, wanted))
        if body is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        stop = self.server.cut.pop(name, None)
        self.wfile.write(body[start:stop])
        if stop is not None:
            self.connection.close()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()


def a_set(
    server: Server, name: str, body: bytes, hash: str = "", layout: str = "dsb2018"
) -> PublicSet:
    server.files[name] = body
    archive = Archive(server.url(name), hash)
    return PublicSet("toy", "Toy", layout, (archive,), "medical", "microscopy", "CC0", "nobody")


def md5(body: bytes) -> str:
    return "md5:" + hashlib.md5(body).hexdigest()


BODY = bytes(range(256)) * 4000


def test_a_cut_is_resumed_where_it_happened(server: Server, tmp_path: Path) -> None:
    which = a_set(server, "a.bin", BODY, md5(BODY))
    server.cut["a.bin"] = 300_000
    [file] = fetch_archives(which, tmp_path, lambda line: None)
    assert file.read_bytes() == BODY
    assert server.asked[0] == ("a.bin", None)
    start = int(server.asked[1][1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 300_000
    fetch_archives(which, tmp_path, lambda line: None)
    assert len(server.asked) == 2 and not list(tmp_path.glob("*.part"))


def test_a_body_with_another_hash_is_refused(server: Server, tmp_path: Path) -> None:
    which = a_set(server, "a.bin", BODY, md5(b"other"))
    with pytest.raises(FetchError, match="not what"):
        fetch_archives(which, tmp_path, lambda line: None)
    assert not (tmp_path / "a.bin").exists()


def test_the_first_download_is_pinned_where_nobody_publishes_a_hash(
    server: Server, tmp_path: Path
) -> None:
    said: list[str] = []
    which = a_set(server, "a.bin", BODY)
    [file] = fetch_archives(which, tmp_path, said.append)
    assert any("pinned" in line for line in said)
    file.unlink()
    server.files["a.bin"] = BODY[::-1]
    with pytest.raises(FetchError, match="pin"):
        fetch_archives(which, tmp_path, said.append)


def test_what_the_server_does_not_have_is_said(server: Server, tmp_path: Path) -> None:
    which = a_set(server, "a.bin", BODY)
    server.files.clear()
    with pytest.raises(FetchError, match="404"):
        fetch_archives(which, tmp_path, lambda line: None)


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "C:/out.txt"])
def test_archives_do_not_leave_their_folder(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    for kind in ("zip", "tar"):
        with pytest.raises(FetchError, match="leads out"):
            unpack(tmp_path / f"a.{kind}", tmp_path / "in" / "there")
    assert not list(tmp_path.rglob("out.txt"))


def png(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


def nifti(array: np.ndarray, folder: Path) -> bytes:
    nib = pytest.importorskip("nibabel")
    file = folder / "a.nii.gz"
    nib.save(nib.Nifti1Image(array, np.diag([1.0, 1.0, 3.0, 1.0])), file)
    return file.read_bytes()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return out.getvalue()


def dsb2018(folder: Path) -> dict[str, bytes]:
    one, two = np.zeros((40, 50), np.uint8), np.zeros((40, 50), np.uint8)
    one[5:20, 5:20], two[20:35, 25:45] = 255, 255
    picture = np.dstack([one | two] * 3 + [np.full((40, 50), 255, np.uint8)])
    return {"x/images/x.png": png(picture), "x/masks/a.png": png(one), "x/masks/b.png": png(two)}


def msd(folder: Path) -> dict[str, bytes]:
    labels = np.zeros((10, 12, 6), np.uint8)
    labels[2:6, 3:8, 1:4] = 1
    image = nifti(np.dstack([labels * 100] * 2).reshape(10, 12, 6, 2).astype(np.int16), folder)
    said = {"labels": {"0": "background", "1": "organ"}}
    return {
        "Task/dataset.json": json.dumps(said).encode(),
        "Task/imagesTr/a.nii.gz": image,
        "Task/labelsTr/a.nii.gz": nifti(labels, folder),
        "Task/labelsTr/._a.nii.gz": b"resource fork",
    }


def totalsegmentator(folder: Path) -> dict[str, bytes]:
    liver, spleen = np.zeros((8, 8, 8), np.uint8), np.zeros((8, 8, 8), np.uint8)
    liver[1:4], spleen[5:7] = 1, 1
    return {
        "d/s01/ct.nii.gz": nifti((liver * 60 + spleen * 50).astype(np.int16), folder),
        "d/s01/segmentations/liver.nii.gz": nifti(liver, folder),
        "d/s01/segmentations/spleen.nii.gz": nifti(spleen, folder),
    }


def spacenet1(folder: Path) -> dict[str, bytes]:
    rasterio = pytest.importorskip("rasterio")
    file = folder / "a.tif"
    grid = rasterio.transform.from_origin(10.0, 50.0, 0.001, 0.001)
    with rasterio.open(
        file, "w", driver="GTiff", width=50, height=40, count=3, dtype="uint8", transform=grid,
        crs="EPSG:4326",
    ) as out:  # fmt: skip
        out.write(np.full((3, 40, 50), 90, np.uint8))
    ring = [[10.01, 49.99], [10.02, 49.99], [10.02, 49.98], [10.01, 49.98], [10.01, 49.99]]
    outlines = {"features": [{"geometry": {"type": "Polygon", "coordinates": [ring]}}]}
    return {
        "3band/3band_x.tif": file.read_bytes(),
        "geojson/Geo_x.geojson": json.dumps(outlines).encode(),
    }


@pytest.mark.parametrize(
    "make", [dsb2018, msd, totalsegmentator, spacenet1], ids=lambda f: f.__name__
)
def test_a_fetched_set_is_one_that_the_host_reads(make, server: Server, tmp_path: Path) -> None:
    from samovar.evaluation.sets import find_sets
    from samovar.evaluation.targets import read_labels

    body = zipped(make(tmp_path))
    server.files["toy.zip"] = body
    table = tmp_path / "own.toml"
    table.write_text(
        f'[toy]\ntitle = "Toy"\nlayout = "{make.__name__}"\n'
        f'files = [{{ url = "{server.url("toy.zip")}", hash = "{md5(body)}" }}]\n'
        'domain = "medical"\nmodality = "x"\nlicence = "CC0"\ncitation = "nobody"\n'
    )
    data = tmp_path / "data"
    assert main(["fetch", "toy", "-o", str(data), "--table", str(table)]) == 0
    assert main(["fetch", "toy", "-o", str(data), "--table", str(table)]) == 0
    [found], skipped = find_sets(data)
    assert found.name == "toy" and found.train and not skipped
    [case] = found.cases()
    if found.kind == "pictures":
        with Image.open(case.image) as image:
            labels = read_labels(case.labels)
            assert (image.height, image.width) == labels.shape
        assert set(np.unique(labels)) == set(range(int(labels.max()) + 1)) and labels.any()
    else:
        nib = pytest.importorskip("nibabel")
        image, labels = nib.load(case.image), nib.load(case.labels)
        assert image.shape == labels.shape and np.allclose(image.affine, labels.affine)
        assert set(np.unique(labels.dataobj)) <= {int(k) for k in found.classes} | {0}
    assert {p.name for p in data.iterdir()} == {"toy", "MANIFEST.json", "archives"}


def test_an_archive_of_something_else_leaves_nothing(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files["toy.zip"] = zipped({"readme.txt": b"hello"})
    table = tmp_path / "own.toml"
    table.write_text(
        f'[toy]\ntitle = "T"\nlayout = "msd"\nfiles = [{{ url = "{server.url("toy.zip")}" }}]\n'
        'domain = "medical"\nmodality = "x"\nlicence = "CC0"\ncitation = "nobody"\n'
    )
    assert main(["fetch", "toy", "-o", str(tmp_path / "data"), "--table", str(table)]) == 2
    assert "dataset.json" in capsys.readouterr().err
    assert not (tmp_path / "data" / "toy").exists()
    assert not (tmp_path / "data" / "MANIFEST.json").exists()


def test_the_table_is_whole() -> None:
    for which in public_sets().values():
        assert which.layout in LAYOUTS and which.files and which.licence
        for archive in which.files:
            assert archive.url.startswith("https://")
            kind, _, value = archive.hash.partition(":")
            assert not archive.hash or (kind, len(value)) in {("md5", 32), ("sha256", 64)}
            assert not archive.hash or which.hash_from


def test_an_unknown_set_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "no-such", "-o", "x"]) == 2
    assert "msd-spleen" in capsys.readouterr().err


def test_a_table_with_a_wrong_key_says_where(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[a]\ntitle = "x"\nlayuot = "msd"\n')
    with pytest.raises(ValueError, match="layuot"):
        public_sets(tmp_path / "t.toml")
