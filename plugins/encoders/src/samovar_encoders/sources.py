"""Offers: which models' weights can be fetched, from where, and under which licences."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from samovar.errors import PluginError, UsageError
from samovar.folders import weights_folder
from samovar.naming import did_you_mean
from samovar.plugins import registry
from samovar.specs import EncoderSpec, SegmenterSpec, SourceSpec

from .registry import record

DISTRIBUTION = "samovar-encoders"
FILE_NAME = "sources.toml"


@dataclass(frozen=True)
class Offer:
    """One model whose weights are published somewhere."""

    name: str
    distribution: str
    sources: tuple[SourceSpec, ...]
    code_licence: str = ""
    weights_licence: str = ""
    citation: str = ""
    homepage: str = ""

    @property
    def canonical(self) -> str:
        return f"{self.distribution}/{self.name}"

    @property
    def importable(self) -> bool:
        """``samovar models import --as`` knows it."""
        return self.distribution == DISTRIBUTION

    @property
    def folder(self) -> Path:
        """Where its files lie once they are fetched."""
        return weights_folder(self.canonical)


def offers() -> tuple[Offer, ...]:
    """This plugin's own, in the order of its table, then those of other plugins' specs."""
    specs = (*registry().specs("encoder"), *registry().specs("segmenter"))
    return (*own_offers(), *(_of_spec(spec) for spec in specs if spec.sources))


def find_offer(name: str) -> Offer:
    """The offer called ``name``, short or canonical.

    Raises:
        UsageError: nobody offers it (the nearest names are given), or several do.
        PluginError: its plugin describes its sources wrongly.
    """
    known = offers()
    wanted = name.strip().lower()
    found = [o for o in known if wanted in (o.name.lower(), o.canonical.lower())]
    if len(found) == 1:
        _check(found[0])
        return found[0]
    if found:
        choices = " or ".join(o.canonical for o in found)
        raise UsageError(f"the model name {name!r} is ambiguous: write {choices}")
    hint = did_you_mean(name, (o.name for o in known))
    raise UsageError(
        f"nobody offers weights called {name!r}{hint}: "
        "`samovar models pull` without a name lists what there is"
    )


@cache
def own_offers() -> tuple[Offer, ...]:
    """The table that comes with this plugin."""
    text = (files("samovar_encoders") / FILE_NAME).read_text(encoding="utf-8")
    return read_offers(tomllib.loads(text))


def read_offers(tables: Mapping[str, Mapping[str, Any]]) -> tuple[Offer, ...]:
    """Offers from the parsed table, one a model of the registry; unknown fields are an error."""
    found = []
    for name, fields in tables.items():
        (files,) = fields.values()
        sources = tuple(SourceSpec(**file) for file in files)
        known = record(name)
        found.append(
            Offer(
                name,
                DISTRIBUTION,
                sources,
                known.code_licence,
                known.weights_licence,
                known.citation,
                known.homepage,
            )
        )
    return tuple(found)


def _of_spec(spec: EncoderSpec | SegmenterSpec) -> Offer:
    return Offer(
        spec.name,
        spec.distribution,
        spec.sources,
        spec.code_licence,
        spec.weights_licence,
        spec.citation,
    )


def _check(offer: Offer) -> None:
    for complaint in complaints(offer.sources):
        raise PluginError(f"{offer.canonical}: {complaint}: report it to {offer.distribution}")


def complaints(sources: Iterable[SourceSpec]) -> Iterable[str]:
    """What is wrong with descriptions of files, one line each."""
    names: set[str] = set()
    for source in sources:
        if not isinstance(source, SourceSpec):
            yield f"its sources hold {type(source).__name__}s, not SourceSpecs"
            continue
        if source.file in ("", ".", "..") or set(source.file) & set('/\\:*?"<>|'):
            yield f"{source.file!r} is not a plain file name"
        if source.file.lower() in names:
            yield f"{source.file!r} is listed twice"
        names.add(source.file.lower())
        if not source.url and not source.page:
            yield f"{source.file}: neither a URL nor a page"
        digest = source.sha256
        if digest and (len(digest) != 64 or set(digest) - set("0123456789abcdef")):
            yield f"{source.file}: {digest!r} is not a SHA-256 in lower-case hexadecimals"
