"""GeoPackage: one layer written or replaced, the others kept, and a style for QGIS."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from samovar.errors import OutputError
from samovar_geo.arrow import write_layer
from samovar_geo.features import Batch
from samovar_geo.style import QML, STYLE_NAME

LAYER = "objects"
PATIENCE_S = 0.5
"""How long a lock of another program is waited for."""


def check(target: Path, layer: str) -> None:
    """Whether ``target`` may be written: free, a GeoPackage, and ``layer`` a name.

    Raises:
        OutputError: another program holds it, or it is no GeoPackage.
    """
    if not layer.strip() or layer.lower().startswith(
        ("gpkg_", "sqlite_", "rtree_", "layer_styles")
    ):
        raise OutputError(f"--layer {layer!r}: GeoPackage keeps such names for itself")
    if not target.exists():
        return
    try:
        with closing(sqlite3.connect(target, timeout=PATIENCE_S, isolation_level=None)) as base:
            tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
            # QGIS leaves a GeoPackage in WAL mode while it is open: going back needs it alone
            base.execute("PRAGMA journal_mode=DELETE")
            base.execute("BEGIN EXCLUSIVE")
            base.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise OutputError(
                f"{target}: is open in another program (QGIS?); close it there, or choose "
                "another name"
            ) from error
        raise OutputError(f"{target}: cannot be opened for writing ({error})") from error
    except sqlite3.DatabaseError as error:
        raise OutputError(
            f"{target}: is not a GeoPackage, though it is called so; remove it or choose another "
            "name"
        ) from error
    if tables and "gpkg_contents" not in tables:
        raise OutputError(
            f"{target}: is an SQLite file but no GeoPackage; remove it or choose another name"
        )


def has_layer(target: Path, layer: str) -> bool:
    """Whether a GeoPackage holds a layer of that name; True for a file that cannot be asked."""
    try:
        with closing(sqlite3.connect(target, timeout=PATIENCE_S)) as base:
            row = base.execute(
                "SELECT count(*) FROM gpkg_contents WHERE lower(table_name) = lower(?)", (layer,)
            ).fetchone()
    except sqlite3.Error:
        return True
    return bool(row[0])


def prepare(target: Path, path: Path) -> None:
    """Copy an existing GeoPackage to ``path``, for its other layers.

    Raises:
        OutputError: as :func:`check`.
        OSError: the copy cannot be written.
    """
    if not target.exists() or not target.stat().st_size:
        return
    check(target, LAYER)
    try:
        with closing(sqlite3.connect(target)) as old, closing(sqlite3.connect(path)) as new:
            old.backup(new)
    except sqlite3.Error as error:
        raise OSError(f"{target}: its other layers cannot be copied ({error})") from error


def write(batch: Batch) -> None:
    """The layer ``batch.layer``, replaced if it is there. Raises OSError."""
    existed = batch.path.exists()
    options = {"GEOMETRY_NAME": "geom"}
    if batch.crs is None:
        # -1 is what the standard calls undefined Cartesian
        options["SRID"] = "-1"
    write_layer(
        batch, "GPKG", layer_options=options,
        layer_metadata={f"SAMOVAR_{k}": v for k, v in batch.record.items()},
    )  # fmt: skip
    try:
        with closing(sqlite3.connect(batch.path)) as base, base:
            _add_style(base, batch.layer)
            if existed:
                _tidy_metadata(base)
    except sqlite3.Error as error:
        raise OSError(f"{batch.path}: its style cannot be written ({error})") from error


def _add_style(base: sqlite3.Connection, layer: str) -> None:
    """A default style in the table where QGIS looks for it; styles of other layers are kept."""
    base.execute(
        "CREATE TABLE IF NOT EXISTS layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,"
        " f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),"
        " f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,"
        " useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),"
        " update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"
    )
    base.execute(
        "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description,"
        " srs_id) VALUES ('layer_styles', 'attributes', 'layer_styles', '', 0)"
    )
    base.execute(
        "DELETE FROM layer_styles WHERE f_table_name = ? AND styleName = ?", (layer, STYLE_NAME)
    )
    if base.execute(
        "SELECT count(*) FROM layer_styles WHERE f_table_name = ? AND useAsDefault", (layer,)
    ).fetchone()[0]:
        # the user's own default style stays the default
        default = 0
    else:
        default = 1
    base.execute(
        "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name,"
        " f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner)"
        " VALUES ('', '', ?, 'geom', ?, ?, '', ?, 'outlines by uncertainty', '')",
        (layer, STYLE_NAME, QML, default),
    )


def _tidy_metadata(base: sqlite3.Connection) -> None:
    """Drop the records of a layer that was replaced: GDAL leaves them behind."""
    has = base.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = 'gpkg_metadata_reference'"
    ).fetchone()[0]
    if has:
        base.execute(
            "DELETE FROM gpkg_metadata WHERE id NOT IN"
            " (SELECT md_file_id FROM gpkg_metadata_reference)"
        )
