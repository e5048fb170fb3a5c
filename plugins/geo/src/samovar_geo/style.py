"""How QGIS draws the objects of a GeoPackage at first: outlines by uncertainty, imagery visible."""

from __future__ import annotations

STYLE_NAME = "samovar"
CLASSES = (
    (0.0, 0.1, "46,125,50"),
    (0.1, 0.25, "249,168,37"),
    (0.25, 1.0, "198,40,40"),
)
"""Uncertainty from, to, and red, green, blue of the outline."""


def _range(i: int, low: float, high: float) -> str:
    label = f"uncertainty {low:g} – {high:g}"
    return f'<range symbol="{i}" lower="{low}" upper="{high}" label="{label}" render="true"/>'


def _symbol(i: int, colour: str) -> str:
    options = {
        "color": f"{colour},40",
        "outline_color": f"{colour},255",
        "outline_style": "solid",
        "outline_width": "0.46",
        "outline_width_unit": "MM",
        "style": "solid",
        "joinstyle": "miter",
    }
    # QGIS before 3.26 reads prop, later ones Option
    new = "".join(f'<Option name="{k}" type="QString" value="{v}"/>' for k, v in options.items())
    old = "".join(f'<prop k="{k}" v="{v}"/>' for k, v in options.items())
    return (
        f'<symbol name="{i}" type="fill" alpha="1" clip_to_extent="1" force_rhr="0">'
        f'<layer class="SimpleFill" enabled="1" locked="0" pass="0">'
        f'<Option type="Map">{new}</Option>{old}</layer></symbol>'
    )


QML = (
    "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
    '<qgis version="3.22.0" styleCategories="Symbology">'
    '<renderer-v2 type="graduatedSymbol" attr="uncertainty" graduatedMethod="GraduatedColor"'
    ' symbollevels="0" enableorderby="0" forceraster="0"><ranges>'
    + "".join(_range(i, low, high) for i, (low, high, _) in enumerate(CLASSES))
    + "</ranges><symbols>"
    + "".join(_symbol(i, colour) for i, (*_, colour) in enumerate(CLASSES))
    + "</symbols></renderer-v2></qgis>"
)
