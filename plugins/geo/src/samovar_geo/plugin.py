"""The entry point: what this distribution offers, without importing GDAL."""

from __future__ import annotations

from samovar import hookimpl
from samovar.specs import FormatSpec, OptionSpec

PLUGIN_API = (1, 0)

TIFF = (".tif", ".tiff")
RASTERS = (*TIFF, ".vrt", ".jp2", ".j2k", ".img", ".asc", ".ntf", ".bil", ".hgt", ".dem", ".ers")
VECTORS = (".gpkg", ".geojson", ".geojsonl", ".geojsons", ".shp", ".fgb")
TIFF_MAGIC = ((0, b"II*\0"), (0, b"MM\0*"), (0, b"II+\0"), (0, b"MM\0+"))
JP2_MAGIC = ((0, b"\0\0\0\x0cjP  "), (0, b"\xff\x4f\xff\x51"))
REMOTE = ("http://", "https://", "s3://", "gs://", "az://")

BANDS = OptionSpec(
    "--bands",
    "Bands of the raster to look at, counted from 1, in the order red, green, blue",
    metavar="4,3,2",
)
PROMPT_LAYER = OptionSpec(
    "--prompt-layer", "Layer of the vector file given to --prompts", metavar="NAME"
)


@hookimpl
def samovar_formats() -> list[FormatSpec]:
    """Readers of rasters and prompts, writers of labels and polygons."""
    return [
        FormatSpec(
            name="raster",
            target="samovar_geo.raster:RasterReader",
            summary="any raster that GDAL reads, by windows: GeoTIFF, COG, VRT, JPEG 2000, /vsi…",
            suffixes=RASTERS,
            reads=True,
            magic=(*TIFF_MAGIC, *JP2_MAGIC, (0, b"EHFA_HEADER_TAG"), (0, b"NITF")),
            schemes=("/vsi", "vrt://", *REMOTE),
            domains=("raster", "picture"),
            options=(BANDS,),
        ),
        FormatSpec(
            name="geotiff",
            target="samovar_geo.labels:LabelGeoTiff",
            summary="label GeoTIFF with the raster's own transform and CRS",
            suffixes=TIFF,
            writes=True,
            domains=("raster", "picture"),
        ),
        FormatSpec(
            name="gpkg",
            target="samovar_geo.vectors:GeoPackage",
            summary="polygons in the raster's CRS, layer objects of a GeoPackage",
            suffixes=(".gpkg",),
            writes=True,
            domains=("raster",),
        ),
        FormatSpec(
            name="geojson",
            target="samovar_geo.vectors:GeoJson",
            summary="polygons in EPSG:4326 as GeoJSON (RFC 7946)",
            suffixes=(".geojson",),
            writes=True,
            domains=("raster",),
        ),
        FormatSpec(
            name="geojsonseq",
            target="samovar_geo.vectors:GeoJsonSeq",
            summary="polygons in EPSG:4326, one GeoJSON feature a line",
            suffixes=(".geojsonl", ".geojsons"),
            writes=True,
            domains=("raster",),
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
    ]
