"""`samovar train` as a plugin command."""

import pytest

from samovar.errors import InputError
from samovar.plugins import registry
from samovar_train.command import train


def test_the_command_is_offered():
    spec = registry().find("command", "train")
    assert spec.distribution == "samovar-train"
    assert registry().resolve(spec) is train


@pytest.mark.parametrize("text", [None, "steps = [", "what = 1\n"])
def test_what_is_not_a_recipe_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "recipe.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match="recipe") as caught:
        train(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
