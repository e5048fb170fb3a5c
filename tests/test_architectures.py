"""The torch side of a model, by hook."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from samovar import hookimpl
from samovar.architectures import architecture_specs, build_architecture
from samovar.errors import PluginError, UsageError
from samovar.models import list_models, load_model
from samovar.plugins import registry, reset
from samovar.resize import Preparation
from samovar.specs import EncoderSpec


class Fake:
    name = "bare"
    module = None
    lora_targets = ("qkv",)
    roles = ("encoder",)
    preparation = Preparation()

    def role(self, role):
        return self.module

    def names(self, role):
        return ("image",), ("image_embeddings",)

    def samples(self, role, prompts, points, seed=0):
        return ()

    def load(self, paths):
        raise NotImplementedError

    def export(self, folder):
        raise NotImplementedError


@pytest.fixture
def bare():
    specs = [
        EncoderSpec(name="bare", builder=f"{__name__}:Fake"),
        EncoderSpec(name="odd", builder=f"{__name__}:SimpleNamespace"),
        EncoderSpec(name="plain", target=f"{__name__}:SimpleNamespace"),
    ]

    class Plugin:
        PLUGIN_API = (1, 0)

        @hookimpl
        def samovar_encoders(self):
            return specs

    reset()
    registry().register(Plugin(), "fake-zoo")
    assert not [p for p in registry().problems if p.distribution == "fake-zoo"]
    yield
    reset()


def test_it_is_built_by_name(bare):
    assert build_architecture("bare").lora_targets == ("qkv",)
    assert "bare" in [s.name for s in architecture_specs()]


def test_what_is_something_else_is_the_plugin_s_fault(bare):
    with pytest.raises(PluginError, match=r"fake-zoo/odd.*SimpleNamespace"):
        build_architecture("odd")
    assert SimpleNamespace is not None


def test_a_model_without_a_builder_says_so(bare):
    with pytest.raises(UsageError, match="fake-zoo/plain offers no torch modules"):
        build_architecture("plain")


def test_without_weights_it_cannot_run_and_is_not_listed(bare):
    with pytest.raises(UsageError, match="comes without weights"):
        load_model("bare")
    names = [m.name for m in list_models()]
    assert "fake-zoo/bare" not in names
    assert "fake-zoo/plain" in names


@pytest.mark.parametrize("wrong", [{"builder": "no colon"}, {}, {"builder": "a:b", "target": "x"}])
def test_a_builder_is_checked(wrong):
    from samovar.registration import check_specs

    good, causes = check_specs("samovar_encoders", [EncoderSpec(name="x", **wrong)])
    assert not good
    assert causes
