"""What is known of one object on one slice: its mask, how sure it is, and what was asked."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from samovar.grid import Region
from samovar.masks import LowRes, PixelMask, WindowLogits

_NOWHERE = Region((0, 0), (0, 0))


@dataclass(frozen=True, eq=False)
class SliceAnswer:
    """One answer, bit-packed. Priors are kept in half precision, whoever asks for them next."""

    asked: bytes
    """Digest of everything that the answer depends on."""
    region: Region
    """Bounds in the slice's picture, rows and columns."""
    bits: bytes
    quality: float
    stability: float
    prior: NDArray[np.float16] | bytes | None
    """Logits ``(h, w)``; deflated where they are kept for later."""
    shape: tuple[int, ...] = ()
    window: tuple[float, float, float, float] | None = None
    ended: bool = False
    """The object was not found here any more: its chain ends before this slice."""

    @classmethod
    def of(
        cls,
        asked: bytes,
        mask: PixelMask,
        quality: float,
        stability: float,
        low_res: LowRes,
        ended: bool = False,
    ) -> SliceAnswer:
        """From what a decoder answered."""
        if mask.empty or ended:
            return cls(asked, _NOWHERE, b"", quality, stability, None, ended=ended)
        window = low_res.window if isinstance(low_res, WindowLogits) else None
        values = low_res.values if isinstance(low_res, WindowLogits) else low_res
        limit = np.finfo(np.float16).max
        prior = np.clip(values, -limit, limit).astype(np.float16)
        bits = np.packbits(mask.inside).tobytes()
        return cls(asked, mask.region, bits, quality, stability, prior, prior.shape, window)

    @classmethod
    def nothing(cls, asked: bytes, ended: bool) -> SliceAnswer:
        """The answer where there was nothing to ask with."""
        return cls(asked, _NOWHERE, b"", 0.0, 0.0, None, ended=ended)

    @property
    def empty(self) -> bool:
        return self.region.empty

    @property
    def pixels(self) -> int:
        return int(np.unpackbits(np.frombuffer(self.bits, dtype=np.uint8)).sum(dtype=np.int64))

    def unpack(self) -> PixelMask:
        """In pixels of the slice's picture."""
        count = int(np.prod(self.region.shape))
        flat = np.unpackbits(np.frombuffer(self.bits, dtype=np.uint8), count=count)
        return PixelMask(self.region, flat.astype(bool).reshape(self.region.shape))

    @property
    def low_res(self) -> LowRes | None:
        """The prior of the next slice, as ``Prompt.mask`` takes it."""
        if self.prior is None:
            return None
        values = self._half().astype(np.float32)
        return values if self.window is None else WindowLogits(values, self.window)

    @property
    def digest(self) -> bytes:
        """Of what the next slice takes over."""
        known = blake2b(repr((self.region, self.window)).encode() + self.bits, digest_size=16)
        if self.prior is not None:
            known.update(self._half().tobytes())
        return known.digest()

    def kept(self) -> SliceAnswer:
        """With its prior deflated."""
        if not isinstance(self.prior, np.ndarray):
            return self
        return replace(self, prior=zlib.compress(self.prior.tobytes(), 1))

    def without_prior(self) -> SliceAnswer:
        return replace(self, prior=None)

    def _half(self) -> NDArray[np.float16]:
        if isinstance(self.prior, bytes):
            flat = np.frombuffer(zlib.decompress(self.prior), dtype=np.float16)
            return flat.reshape(self.shape)
        assert self.prior is not None
        return self.prior
