"""The table of sources: complete, consistent with the importer, and nothing made up in it."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from samovar import hookimpl, plugins
from samovar.errors import PluginError, UsageError
from samovar.licences import restriction
from samovar.specs import EncoderSpec, SegmenterSpec, SourceSpec
from samovar_encoders.registry import RECORDS
from samovar_encoders.sources import Offer, complaints, find_offer, offers, own_offers

PROMISED = [
    "sam-vit-b", "sam-vit-l", "sam-vit-h", "medsam", "mobile-sam", "tiny-sam", "lite-medsam",
    "efficient-sam-ti", "efficient-sam-s", "efficientvit-sam-l0", "efficientvit-sam-l1",
    "efficientvit-sam-l2", "efficientvit-sam-xl0", "efficientvit-sam-xl1", "repvit-sam",
    "slimsam-50", "slimsam-77", "nanosam", "sam-med2d", "medficientsam-l0", "medficientsam-l1",
    "medficientsam-l2", "daft-l0", "hq-sam-light", "sam2.1-t", "sam2.1-s", "sam2.1-b+", "edgetam",
    "edge-sam", "sam-med3d", "fastsam3d", "samed",
]  # fmt: skip
HANDS_ONLY = ("drive.google.com", "github.com")


def test_every_promised_model_is_offered() -> None:
    assert [o.name for o in own_offers()] == PROMISED


@pytest.mark.parametrize("offer", own_offers(), ids=lambda o: o.name)
def test_an_offer_is_complete(offer: Offer) -> None:
    assert list(complaints(offer.sources)) == []
    assert offer.code_licence and offer.weights_licence and offer.citation
    assert urlsplit(offer.homepage).scheme == "https"
    for source in offer.sources:
        assert source.url.startswith("https://") or not source.url
        assert source.bytes is None or source.bytes > 1_000_000
        assert bool(source.sha256) == bool(source.hash_from)
        if source.url:
            name = urlsplit(source.url).path.rpartition("/")[2]
            assert name in (source.file, f"{source.file}.zip")
            assert (source.unpack == source.file) is name.endswith(".zip")
        else:
            assert urlsplit(source.page).hostname in HANDS_ONLY and source.note


@pytest.mark.parametrize("offer", own_offers(), ids=lambda o: o.name)
def test_an_offer_is_what_the_importer_takes(offer: Offer) -> None:
    record = RECORDS[offer.name]
    files = [s.file for s in offer.sources]
    if offer.name == "edge-sam":
        # two trainings of one model are published; either can be imported
        assert files[0] in record.checkpoints
    else:
        assert files == list(record.checkpoints)
    assert (offer.weights_licence, offer.homepage) == (record.weights_licence, record.homepage)


def test_one_file_is_described_in_one_way() -> None:
    known: dict[str, tuple[object, ...]] = {}
    for offer in own_offers():
        for source in offer.sources:
            if source.url:
                facts = (source.bytes, source.sha256, source.hash_from)
                assert known.setdefault(source.url, facts) == facts


def test_restricted_weights_are_known_as_such() -> None:
    assert [o.name for o in own_offers() if restriction(o.weights_licence)] == ["edge-sam"]


class Third:
    """A plugin of somebody else, with weights of its own."""

    PLUGIN_API = (1, 0)
    sources: tuple[object, ...] = (SourceSpec(file="w.pt", url="https://files.example/w.pt"),)
    name = "theirs"

    @hookimpl
    def samovar_encoders(self) -> list[EncoderSpec]:
        return [
            EncoderSpec(
                name=self.name,
                target="their.module:Model",
                sources=self.sources,  # type: ignore[arg-type]
                weights_licence="CC-BY-NC-4.0",
                citation="They, 2026",
            ),
            EncoderSpec(name="without", target="their.module:Model"),
        ]

    @hookimpl
    def samovar_segmenters(self) -> list[SegmenterSpec]:
        files = (SourceSpec(file="s.pt", url="https://files.example/s.pt"),)
        return [SegmenterSpec(name="whole", target="their.module:Whole", sources=files)]


@pytest.fixture
def third() -> Iterator[Third]:
    plugins.reset()
    yield Third()
    plugins.reset()


def test_other_plugins_offer_theirs_through_their_spec(third: Third) -> None:
    plugins.registry().register(third, distribution="acme")
    offer = find_offer("ACME/theirs")
    assert offer is not None and find_offer("theirs") == offer
    assert (offer.weights_licence, offer.citation) == ("CC-BY-NC-4.0", "They, 2026")
    assert not offer.importable and offer.folder.parts[-3:] == ("weights", "acme", "theirs")
    assert "acme/without" not in [o.canonical for o in offers()]
    assert find_offer("acme/whole").sources[0].file == "s.pt"


def test_a_name_that_two_offer_is_ambiguous(third: Third) -> None:
    third.name = "mobile-sam"
    plugins.registry().register(third, distribution="acme")
    with pytest.raises(UsageError, match="samovar-encoders/mobile-sam or acme/mobile-sam"):
        find_offer("mobile-sam")
    assert find_offer("samovar-encoders/mobile-sam").importable


def test_an_unknown_name_gets_the_nearest(third: Third) -> None:
    with pytest.raises(UsageError, match=r"mobile-sam.*without a name lists"):
        find_offer("mobile_sam")


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ((SourceSpec(file="../w.pt", url="https://a.example/w"),), "plain file name"),
        ((SourceSpec(file="", url="https://a.example/w"),), "plain file name"),
        ((SourceSpec(file="w.pt"),), "neither a URL nor a page"),
        ((SourceSpec(file="w.pt", url="https://a.example/w", sha256="ABC"),), "SHA-256"),
        ((SourceSpec(file="w.pt", page="p"), SourceSpec(file="W.pt", page="p")), "twice"),
        (("https://a.example/w",), "strs, not SourceSpecs"),
    ],
)
def test_a_wrong_description_names_its_distribution(
    third: Third, sources: tuple[object, ...], said: str
) -> None:
    third.sources = sources
    plugins.registry().register(third, distribution="acme")
    with pytest.raises(PluginError, match=rf"acme/theirs.*{said}.*report it to acme"):
        find_offer("theirs")
