"""Formats: which reader opens a path, which writer takes it, and one clear line where nobody does.

Readers are chosen by scheme, then by suffix (the longest that matches; ``.nii.gz`` is one), then
by the first bytes. Where several claim a suffix, the host's own comes last; plugins that claim the
same are told apart by the first bytes, else by ``reader=``; order never decides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

from samovar import file_checks
from samovar.errors import (
    GeometryError,
    InputError,
    OutputError,
    PromptError,
    SamovarError,
    UsageError,
)
from samovar.image import Image, Opened
from samovar.naming import choose, matching
from samovar.objects import Objects
from samovar.options import accepted_options, owners_of
from samovar.plugins import Registry, registry
from samovar.privacy import keep_private
from samovar.prompts import Prompts
from samovar.specs import FormatSpec
from samovar.staging import Staged, all_or_nothing, stage

HOST = "samovar"


def open_image(path: str | os.PathLike[str], *, reader: str | None = None, **options: Any) -> Image:
    """Open an image of any installed format; pixels are read later.

    Args:
        path: file, folder or URL (where a plugin takes one).
        reader: name of the format, short or canonical, when several could read the file.
        options: options of readers (``series=…``, ``bands=…``); None counts as not given.

    Raises:
        InputError: missing, empty, damaged, or of a format that no plugin here reads.
        UsageError: several plugins claim it, or an option that its reader does not have.
    """
    source = os.fspath(path)
    found = registry()
    specs = [s for s in found.specs("format") if s.reads]
    if reader is not None:
        candidates = [choose(specs, "format", reader)]
        file_checks.require_readable(source, candidates)
    else:
        candidates = _readers(source, specs)
    for key, value in options.items():
        takers = owners_of(key, candidates)
        if value is not None and not takers:
            raise _unwanted_option(key, source, candidates, specs)
    failures: list[InputError] = []
    for spec in candidates:
        try:
            return _open_with(found, spec, source, options)
        except InputError as error:
            if isinstance(error, GeometryError | UsageError) or _recognises(spec, source):
                # it understands the file and refuses it: another must not take it for less
                raise
            failures.append(error)
    raise failures[0]


def note_private(source: str) -> None:
    """Have a file's header tell who it is about, before its name is used for anything.

    A reader that knows has ``private_words(path)``. What cannot be read names nobody; opening it
    will say why.
    """
    with suppress(Exception):
        for spec in _readers(source, [s for s in registry().specs("format") if s.reads]):
            told = getattr(registry().load(spec), "private_words", None)
            if told is not None:
                keep_private(told(source))


def _readers(source: str, specs: Sequence[FormatSpec]) -> list[FormatSpec]:
    """Formats to try, in this order; at least one.

    Raises:
        InputError: there is nothing to read, or nobody reads it.
    """
    head = file_checks.require_readable(source, specs)
    found = _claimants(source, specs, head)
    if found:
        return found
    if Path(source).is_dir():
        raise InputError(file_checks.unreadable_folder(source))
    prompt_readers = [s for s in registry().specs("format") if s.reads_prompts]
    takes = bool(_longest_suffix(source, prompt_readers))
    raise InputError(file_checks.unreadable_file(source, head, specs, takes))


def _claimants(source: str, specs: Sequence[FormatSpec], head: bytes) -> list[FormatSpec]:
    """Formats that say that they read ``source``: by scheme, folder, suffix, first bytes."""
    by_scheme = [s for s in specs if any(source.lower().startswith(p) for p in s.schemes)]
    if by_scheme:
        return _in_order(source, by_scheme, b"")
    if Path(source).is_dir():
        name = source.rstrip("/\\").lower()
        return [s for s in specs if s.folders and name.endswith(s.folder_suffix)]
    by_suffix = _longest_suffix(source, specs)
    by_magic = [s for s in specs if s not in by_suffix and _magic(s, head)]
    return (_in_order(source, by_suffix, head) if by_suffix else []) + by_magic


def _longest_suffix(path: str, specs: Sequence[FormatSpec]) -> list[FormatSpec]:
    name = Path(path).name.lower()
    lengths = {
        s.canonical: max((len(x) for x in s.suffixes if name.endswith(x)), default=0) for s in specs
    }
    longest = max(lengths.values(), default=0)
    return [s for s in specs if longest and lengths[s.canonical] == longest]


def _magic(spec: FormatSpec, head: bytes) -> bool:
    return any(head[at : at + len(text)] == text for at, text in spec.magic)


def _recognises(spec: FormatSpec, source: str) -> bool:
    """Whether the first bytes of a file say that it is of this format."""
    return Path(source).is_file() and _magic(spec, file_checks.require_readable(source, [spec]))


def _in_order(source: str, specs: list[FormatSpec], head: bytes) -> list[FormatSpec]:
    """Plugins first, the host last; two plugins must differ in the bytes that they recognise."""
    others = [s for s in specs if s.distribution != HOST]
    mine = [s for s in specs if s.distribution == HOST]
    if len(others) > 1:
        recognised = [s for s in others if _magic(s, head)]
        if len(recognised) != 1:
            names = " and ".join(s.canonical for s in others)
            raise UsageError(f"{source}: {names} both read it: choose with --reader NAME")
        others = recognised
    return others + mine


def _open_with(found: Registry, spec: FormatSpec, source: str, options: dict[str, Any]) -> Image:
    opener = found.load(spec)
    try:
        with redirect_stdout(sys.stderr):
            image = opener.open(source, **accepted_options(spec, options))
    except (SamovarError, KeyboardInterrupt):
        raise
    except MemoryError as error:
        raise InputError(f"{source}: does not fit into this machine's memory") from error
    except Exception as error:
        raise InputError(file_checks.damaged(source, spec.canonical, error)) from error
    if not isinstance(image, Image):
        raise InputError(f"{source}: {spec.canonical} returned no Image: report it to its authors")
    image.opened = Opened(source, spec.canonical, dict(options))
    return image


def _unwanted_option(
    key: str, source: str, candidates: Sequence[FormatSpec], specs: Sequence[FormatSpec]
) -> UsageError:
    flag = "--" + key.replace("_", "-")
    who = owners_of(key, specs)
    belongs = f" (it belongs to {', '.join(who)})" if who else ""
    reader = candidates[0].canonical
    return UsageError(f"{source}: {reader}, which reads it, has no option {flag}{belongs}")


def read_prompts(path: str | os.PathLike[str], image: Image, **options: Any) -> Prompts:
    """Prompts from a file: of a prompt format, else the boxes of a label image's objects.

    Raises:
        PromptError: the file holds no prompts, or not for this image.
        InputError: missing, empty, damaged, or of a format that no plugin here reads.
    """
    source = os.fspath(path)
    found = registry()
    specs = [s for s in found.specs("format") if s.reads_prompts]
    head = file_checks.require_readable(source, specs)
    candidates = _longest_suffix(source, specs) or [s for s in specs if _magic(s, head)]
    if not candidates:
        return _label_boxes(source, image)
    spec = _in_order(source, candidates, head)[0]
    reader = found.load(spec)
    try:
        with redirect_stdout(sys.stderr):
            prompts = reader.read_prompts(source, image, **accepted_options(spec, options))
    except (SamovarError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise PromptError(file_checks.damaged(source, spec.canonical, error)) from error
    if not isinstance(prompts, Prompts) or not len(prompts):
        raise PromptError(f"{source}: holds no prompts: add at least one box or point")
    return prompts


def _label_boxes(source: str, image: Image) -> Prompts:
    from samovar.label_prompts import prompts_from_labels

    formats = registry().specs("format")
    readers = [s for s in formats if s.reads]
    if not _claimants(source, readers, file_checks.require_readable(source, readers)):
        known = {x for s in formats if s.reads_prompts for x in s.suffixes}
        raise PromptError(
            f"{source}: nothing installed reads prompts from it: give one of "
            f"{', '.join(sorted(known))}, or a label image"
        )
    labels = open_image(source)
    with labels:
        return prompts_from_labels(labels, image)


def split_output(text: str | os.PathLike[str]) -> tuple[str, Path]:
    """``rtstruct:OUT.dcm`` → the format's name and the path; a bare path → ``""`` and itself.

    What stands before a colon counts only where a format that writes has that name, so ``C:`` is
    a drive.
    """
    whole = os.fspath(text)
    name, colon, rest = whole.partition(":")
    if colon and rest and matching([s for s in registry().specs("format") if s.writes], name):
        return name, Path(rest)
    return "", Path(whole)


def writer_for(path: str | os.PathLike[str], image: Image) -> FormatSpec:
    """The format that will write ``path``; everything that can be checked early is checked.

    Args:
        path: ``PATH``, or ``NAME:PATH`` where the suffix alone does not say which format.

    Raises:
        OutputError: nobody writes the suffix for this domain, the folder is missing or read-only,
            the path is a folder or the input itself.
        UsageError: several plugins write the suffix.
    """
    name, target = split_output(path)
    writers = [s for s in registry().specs("format") if s.writes]
    if name:
        specs = [choose(writers, "format", name)]
    else:
        specs = [s for s in writers if not s.by_name]
    domain = image.info.domain
    if domain == "raster" and image.grid.frame.kind == "index":
        domains = {"raster", "picture"}
    else:
        domains = {domain}
    claimed = _longest_suffix(str(target), specs)
    fitting = [s for s in claimed if domains & set(s.domains)]
    if not fitting and name and not claimed:
        raise OutputError(f"{target}: {name} writes {', '.join(specs[0].suffixes)}: name it so")
    if not fitting:
        raise OutputError(file_checks.unwritable_suffix(target, domains, claimed, specs))
    file_checks.require_writable(target, image.info.source)
    others = [s for s in fitting if s.distribution != HOST] or fitting
    if len(others) > 1:
        names = " and ".join(s.canonical for s in others)
        raise UsageError(f"{target}: {names} both write it: block one by SAMOVAR_DISABLE_PLUGINS")
    return others[0]


def write_objects(
    objects: Objects, path: str | os.PathLike[str], image: Image, **options: Any
) -> None:
    """Write one output whole, or not at all. See :func:`write_all`."""
    write_all(objects, [path], image, **options)


def write_all(
    objects: Objects, paths: Sequence[str | os.PathLike[str]], image: Image, **options: Any
) -> None:
    """Write several outputs: each to a temporary name beside its own, all renamed at the end.

    Args:
        options: options of writers; each writer gets those that it declares.

    Raises:
        OutputError: as :func:`writer_for`, or the disk refuses; nothing is left behind.
        PluginError: a writer failed; nothing is left behind.
    """
    jobs = writers_for(paths, image, **options)
    with all_or_nothing() as outputs:
        for target, spec in jobs:
            outputs.append(stage_objects(objects, target, spec, image, **options))


def writers_for(
    paths: Sequence[str | os.PathLike[str]], image: Image, **options: Any
) -> list[tuple[Path, FormatSpec]]:
    """Files and their formats; everything that can be checked early is checked.

    Raises:
        OutputError, UsageError: as :func:`writer_for`, or a writer could not write in the end.
    """
    jobs = [(split_output(p)[1], writer_for(p, image)) for p in paths]
    for target, spec in jobs:
        check_writer(spec, image, target, **options)
    return jobs


def check_writer(spec: FormatSpec, image: Image, target: Path, **options: Any) -> None:
    """Let a writer refuse before any work what it could not write in the end."""
    writer = registry().load(spec)
    mine = accepted_options(spec, options)
    check = getattr(writer, "check", None)
    if check is not None:
        check(image, **mine)
    check_target = getattr(writer, "check_target", None)
    if check_target is not None:
        check_target(target, **mine)


def replaces(target: Path, spec: FormatSpec, **options: Any) -> bool:
    """Whether writing ``target`` would replace results that are there.

    A writer that adds to files says so by ``replaces(target, **options)``.
    """
    if not target.exists():
        return False
    asked = getattr(registry().load(spec), "replaces", None)
    return True if asked is None else bool(asked(target, **accepted_options(spec, options)))


def take_over(writer: Any, target: Path, temporary: Path) -> None:
    """Before a writer begins: what of an existing ``target`` has to stay goes to ``temporary``."""
    prepare = getattr(writer, "prepare", None)
    if prepare is not None:
        prepare(target, temporary)


def written_suffix(path: Path, spec: FormatSpec) -> str:
    """The suffix of a path as its format has it: ``.nii.gz`` whole."""
    ends = [s for s in spec.suffixes if path.name.lower().endswith(s)]
    length = max((len(s) for s in ends), default=len(path.suffix))
    return path.name[len(path.name) - length :]


def stage_objects(
    objects: Objects, path: Path, spec: FormatSpec, image: Image, **options: Any
) -> Staged:
    """Write one output under a temporary name; the caller commits it. Raises as write_all."""
    writer = registry().load(spec)
    mine = accepted_options(spec, options)

    def write(temporary: Path) -> None:
        take_over(writer, path, temporary)
        writer.write(objects, temporary, image, **mine)

    return stage(path, spec.canonical, write, written_suffix(path, spec))
