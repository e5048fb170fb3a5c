"""The entry point: what this distribution offers, without importing GDAL."""

from __future__ import annotations

from samovar import hookimpl
from samovar.specs import ArgumentSpec, CommandSpec, FormatSpec, OptionSpec

PLUGIN_API = (1, 0)

TIFF = (".tif", ".tiff")
RASTERS = (*TIFF, ".vrt", ".jp2", ".j2k", ".img", ".asc", ".ntf", ".bil", ".hgt", ".dem", ".ers")
PRODUCTS = (".safe", ".safe.zip")
VECTORS = (".gpkg", ".geojson", ".geojsonl", ".geojsons", ".shp", ".fgb", ".parquet")
TIFF_MAGIC = ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+"))
JP2_MAGIC = ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51"))
REMOTE = ("http://", "https://", "s3://", "gs://", "az://")

LOOKING = (
    OptionSpec(
        "--bands",
        "Bands in the order red, green, blue: numbers from 1, names, or indices "
        "(B8,B4,B3; ndvi,4,3; nd:4:1; db:VV; sar)",
        metavar="4,3,2",
    ),
    OptionSpec(
        "--stretch",
        "Values that become black and white: percentiles of the whole scene (2,98), limits "
        "(0:3000, or one a channel), or none",
        metavar="2,98",
    ),
    OptionSpec("--bbox", "Look at this part only, in the raster's CRS", metavar="X0,Y0,X1,Y1"),
    OptionSpec("--bbox-crs", "CRS of --bbox, when it is not the raster's", metavar="EPSG:4326"),
    OptionSpec("--aoi", "Look inside the polygons of this vector file only", metavar="FILE"),
    OptionSpec("--aoi-layer", "Layer of the --aoi file", metavar="NAME"),
    OptionSpec("--gsd", "Metres on the ground that a pixel is resampled to", float, metavar="M"),
    OptionSpec(
        "--scl-mask",
        "Sentinel-2 scene classes that count as no data, or none (default: 0,1,3,8,9,10)",
        metavar="3,8,9",
    ),
)
JOINING = (
    OptionSpec("--mosaic", "All INPUTs are one scene, side by side", bool, False, joins=True),
    OptionSpec("--stack", "All INPUTs are bands of one scene", bool, False, joins=True),
)
PROMPT_LAYER = OptionSpec(
    "--prompt-layer", "Layer of the vector file given to --prompts", metavar="NAME"
)
STAC_MODEL = OptionSpec(
    "--stac-model",
    "Address of the model's own STAC Item (samovar models export-stac), for -o NAME.stac.json",
    metavar="URL",
)
LAYER = OptionSpec("--layer", "Layer of the GeoPackage that is written", metavar="NAME")
SHAPING = (
    OptionSpec("--dst-crs", "CRS of the polygons, when not the raster's", metavar="EPSG:3857"),
    OptionSpec(
        "--simplify",
        "Simplify outlines by this many metres; neighbours keep sharing their borders",
        float,
        metavar="M",
    ),
    OptionSpec(
        "--regularize", "Give buildings right angles, where they touch no other", bool, False
    ),
)


@hookimpl
def samovar_formats() -> list[FormatSpec]:
    """Readers of rasters and prompts, writers of labels and polygons."""
    return [
        FormatSpec(
            name="raster",
            target="samovar_geo.raster:RasterReader",
            summary="any raster that GDAL reads, by windows: GeoTIFF, COG, VRT, JPEG 2000, "
            "/vsi…, Sentinel-2 SAFE, several files as one",
            suffixes=(*RASTERS, *PRODUCTS),
            reads=True,
            folders=True,
            folder_suffix=".safe",
            magic=(*TIFF_MAGIC, *JP2_MAGIC, (0, b"EHFA_HEADER_TAG"), (0, b"NITF")),
            schemes=("/vsi", "vrt://", "mosaic:", "stack:", *REMOTE),
            domains=("raster", "picture"),
            options=(*LOOKING, *JOINING),
        ),
        FormatSpec(
            name="geotiff",
            target="samovar_geo.labels:LabelGeoTiff",
            summary="cloud-optimised label GeoTIFF with the raster's own transform and CRS",
            suffixes=TIFF,
            writes=True,
            domains=("raster", "picture"),
            options=SHAPING[:1],
        ),
        _vectors("gpkg", "GeoPackage", "a layer of a GeoPackage, in the raster's CRS", ".gpkg"),
        _vectors("flatgeobuf", "FlatGeobuf", "FlatGeobuf, in the raster's CRS", ".fgb"),
        _vectors(
            "geoparquet", "GeoParquet", "GeoParquet 1.1, in the raster's CRS", ".parquet",
            ".geoparquet",
        ),
        _vectors("geojson", "GeoJson", "GeoJSON (RFC 7946), lon/lat", ".geojson"),
        _vectors(
            "geojsonseq", "GeoJsonSeq", "one GeoJSON feature a line, lon/lat", ".geojsonl",
            ".geojsons",
        ),
        FormatSpec(
            name="stac",
            target="samovar_geo.stac_item:StacItem",
            summary="STAC Item that describes the run's other outputs",
            suffixes=(".stac.json",),
            writes=True,
            describes=True,
            domains=("raster",),
            options=(STAC_MODEL,),
        ),
        FormatSpec(
            name="vector-prompts",
            target="samovar_geo.prompts:VectorPrompts",
            summary="boxes of polygons, and points, of a vector file in any CRS",
            suffixes=VECTORS,
            reads_prompts=True,
            domains=("raster", "picture"),
            options=(PROMPT_LAYER,),
        ),
    ]  # fmt: skip


def _vectors(name: str, target: str, summary: str, *suffixes: str) -> FormatSpec:
    return FormatSpec(
        name=name,
        target=f"samovar_geo.vectors:{target}",
        summary=f"polygons as {summary}",
        suffixes=suffixes,
        writes=True,
        domains=("raster",),
        options=(*((LAYER,) if name == "gpkg" else ()), *SHAPING),
    )


@hookimpl
def samovar_commands() -> list[CommandSpec]:
    """Commands for catalogues and for QGIS."""
    return [
        CommandSpec(
            name="models export-stac",
            target="samovar_geo.stac_model:export_stac",
            summary="Describe a model as a STAC Item (MLM extension).",
            arguments=(ArgumentSpec("NAME", "Model, or folder of a bundle."),),
            options=(
                OptionSpec("--output", "File for the Item", metavar="JSON", short="-o"),
            ),
        ),
        CommandSpec(
            name="qgis-script",
            target="samovar_geo.qgis_install:qgis_script",
            summary="Put the QGIS Processing script into a folder, or say where it lies.",
            options=(
                OptionSpec(
                    "--output", "Folder for the script: QGIS's processing/scripts", metavar="DIR",
                    short="-o",
                ),
            ),
        ),
    ]  # fmt: skip
