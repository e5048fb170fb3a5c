"""What the writers of DICOM do alike: one instance in the study of the images, checked first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samovar.image import Image
from samovar.objects import Objects, SegmentedObject
from samovar_medical.codes import Meaning, meanings, parse_codes
from samovar_medical.dicom_output import (
    Study,
    require_found,
    require_study,
    say_interpolated,
    speaking_of_no_patient,
)
from samovar_medical.volume import warn


@dataclass(frozen=True)
class Content:
    """What goes into an instance."""

    objects: Objects
    """All of them, with their provenance."""
    items: Sequence[SegmentedObject]
    """Those that have voxels."""
    meanings: Mapping[int, Meaning]
    """By the objects' numbers."""
    study: Study


class DicomWriter(ABC):
    """Writes one instance that refers to every instance of the image's series."""

    kind: str
    """What is written, for messages."""
    uncoded = ""
    """What becomes of an object whose meaning nobody knows; empty: it just has none."""

    def check(self, image: Image, *, code: Sequence[str] = (), **options: Any) -> None:
        """What can be refused before anything was segmented. Raises as :meth:`write`."""
        require_study(image, self.kind)
        parse_codes(code)

    def write(
        self, objects: Objects, path: Path, image: Image, *, code: Sequence[str] = (), **_: Any
    ) -> None:
        """Write the objects that were found; overlaps are kept where the format can.

        Args:
            code: ``LABEL=SCHEME:VALUE:MEANING`` each.

        Raises:
            OutputError: the image is not of DICOM, lacks identifiers, or nothing was found.
            UsageError: a code that is malformed, or for an object that is not there.
        """
        study = require_study(image, self.kind)
        items = require_found(objects, self.kind)
        say_interpolated(study)
        content = Content(objects, items, meanings(items, code), study)
        self._say_uncoded(content)
        with speaking_of_no_patient(self.kind):
            self.dataset(content).save_as(path)

    def _say_uncoded(self, content: Content) -> None:
        unknown = [item for item in content.items if not content.meanings[item.id].known]
        if unknown and self.uncoded:
            names = ", ".join(item.name or str(item.id) for item in unknown[:10])
            warn(self.kind, [
                f"no code is known for {names}: {self.uncoded}; "
                "--code LABEL=SCHEME:VALUE:MEANING states one"
            ])  # fmt: skip

    @abstractmethod
    def dataset(self, content: Content) -> Any:
        """The instance."""
