"""The entry module: light, and complete."""

from __future__ import annotations

import subprocess
import sys

from samovar.plugins import registry
from samovar_laptop import plugin


def test_the_entry_module_imports_nothing_heavy():
    code = (
        "import sys, samovar_laptop.plugin\n"
        "heavy = {'onnxruntime', 'onnx', 'torch', 'numpy', 'PIL'} & set(sys.modules)\n"
        "assert heavy <= {'numpy', 'PIL'} and 'onnxruntime' not in heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_target_is_there():
    specs = [
        *plugin.samovar_runtimes(),
        *plugin.samovar_commands(),
    ]
    for spec in specs:
        assert callable(registry().resolve(spec)), spec.name


def test_every_option_of_the_command_is_used():
    import inspect

    from samovar_laptop import bundle_command

    source = inspect.getsource(bundle_command)
    for option in plugin.BUNDLE_OPTIONS:
        assert option.key in source, option.name


def test_the_registry_has_it():
    assert registry().find("runtime", "onnxruntime").distribution == "samovar-laptop"
    assert registry().find("encoder", "tiny").distribution == "samovar-laptop"
    assert registry().find("command", "models bundle").distribution == "samovar-laptop"
