"""What materials reflect in the thirteen bands of Sentinel-2, and how bands become pixels.

The values are typical surface reflectances, rounded; they are for telling materials apart, not for
retrieving anything.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BANDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
_ORDER = (3, 2, 1, 7, 4, 5, 6, 11, 12, 0, 8, 9, 10)
"""Which band comes when fewer than thirteen are asked for: red, green, blue, near infrared …"""

# fmt: off
_TABLE = {
    "grass":    (.030, .042, .082, .055, .13, .28, .34, .37, .39, .38, .005, .22, .11),
    "lawn":     (.032, .046, .100, .058, .15, .31, .38, .41, .43, .42, .005, .22, .10),
    "crop":     (.028, .036, .078, .038, .12, .33, .42, .46, .48, .46, .005, .20, .09),
    "wheat":    (.070, .105, .165, .205, .24, .29, .32, .34, .36, .36, .006, .38, .26),
    "rape":     (.040, .060, .210, .205, .26, .34, .40, .43, .44, .42, .005, .21, .11),
    "soil":     (.070, .092, .125, .165, .19, .21, .22, .24, .25, .25, .006, .33, .29),
    "dark_soil": (.045, .058, .076, .097, .11, .13, .14, .15, .16, .16, .005, .24, .21),
    "hay":      (.050, .078, .125, .130, .18, .26, .30, .33, .35, .34, .005, .30, .19),
    "wood":     (.018, .024, .044, .026, .07, .20, .26, .28, .30, .29, .004, .13, .06),
    "leaves":   (.024, .031, .064, .038, .10, .26, .33, .36, .38, .37, .004, .17, .08),
    "asphalt":  (.080, .092, .100, .105, .11, .12, .12, .13, .13, .13, .005, .15, .15),
    "concrete": (.190, .225, .250, .265, .27, .28, .29, .30, .31, .31, .008, .33, .31),
    "gravel":   (.140, .170, .205, .235, .25, .27, .28, .29, .30, .30, .007, .35, .33),
    "water":    (.055, .058, .064, .042, .03, .024, .022, .02, .018, .015, .003, .008, .006),
    "tile":     (.060, .075, .105, .215, .25, .27, .28, .30, .31, .31, .006, .33, .29),
    "brown":    (.055, .066, .086, .125, .14, .16, .17, .18, .19, .19, .006, .24, .22),
    "slate":    (.090, .105, .110, .112, .12, .12, .12, .13, .13, .13, .006, .14, .14),
    "metal":    (.330, .350, .365, .370, .37, .37, .38, .38, .38, .38, .010, .36, .33),
    "membrane": (.230, .250, .262, .268, .27, .28, .28, .28, .29, .29, .008, .27, .24),
    "glass":    (.050, .062, .065, .058, .05, .05, .05, .05, .05, .05, .004, .04, .03),
    "paint":    (.340, .370, .390, .400, .40, .41, .41, .42, .42, .42, .010, .40, .38),
    "car_red":  (.040, .045, .050, .200, .24, .25, .26, .27, .27, .27, .006, .25, .22),
    "car_dark": (.030, .035, .036, .038, .04, .04, .04, .05, .05, .05, .004, .05, .05),
}
# fmt: on
MATERIALS = tuple(_TABLE)
_REFLECTANCE = np.array(list(_TABLE.values()), np.float32)


def band_indices(count: int) -> tuple[int, ...]:
    """Which of :data:`BANDS` a scene of ``count`` bands holds, in its order.

    1 is panchromatic (the mean of blue, green and red); 3 red, green, blue; 4 adds near infrared;
    13 is all in Sentinel-2's own order.

    Raises:
        ValueError: ``count`` is not in 1 … 13.
    """
    if not 1 <= count <= 13:
        raise ValueError(f"a scene has 1 to 13 bands, not {count}")
    return tuple(range(13)) if count == 13 else _ORDER[:count]


def band_names(count: int) -> tuple[str, ...]:
    """A description of each band of a scene of ``count`` bands."""
    return ("panchromatic",) if count == 1 else tuple(BANDS[i] for i in band_indices(count))


def spectrum(material: str, count: int) -> NDArray[np.float32]:
    """``(count,)`` float32 reflectance of a material in the bands of a scene."""
    values = _REFLECTANCE[MATERIALS.index(material)]
    if count == 1:
        return values[[1, 2, 3]].mean(keepdims=True)
    return values[list(band_indices(count))]


def to_pixels(
    reflectance: NDArray[np.float32], valid: NDArray[np.bool_], bits: int
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """``(bands, rows, columns)`` reflectance → 8-bit display values or 16-bit 1/10000 units.

    0 is nodata and only nodata.
    """
    if bits == 16:
        counts = np.clip(np.rint(reflectance * 10000), 1, 65535)
        return np.where(valid, counts, 0).astype(np.uint16)
    bands = reflectance.shape[0]
    indices = (2,) if bands == 1 else band_indices(bands)
    white = np.array([0.42 if i < 4 else 0.62 for i in indices], np.float32)
    shown = np.clip(reflectance / white[:, None, None], 0, 1) ** np.float32(0.62)
    return np.where(valid, 1 + np.rint(shown * 254), 0).astype(np.uint8)
