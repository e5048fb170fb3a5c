"""Coordinate reference systems that users name."""

from __future__ import annotations

from pyproj import CRS
from pyproj.exceptions import CRSError

from samovar.errors import UsageError


def parse_crs(text: str, option: str) -> CRS:
    """``EPSG:3857``, a WKT, a PROJ string.

    Raises:
        UsageError: PROJ does not know it.
    """
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise UsageError(
            f"{option} {text}: is not a coordinate reference system; write a code such as "
            "EPSG:32645, or WKT"
        ) from error
