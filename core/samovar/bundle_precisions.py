"""Precisions: further graphs of a bundle's model, and the gate that each had to pass.

A bundle runs in its own ``precision``. Under ``precisions`` it may name graphs of the same model
in others (``int8``), each with the record of a gate: what was measured beside the
bundle's own precision, modality by modality, and whether that was good enough. Nothing but a
person's explicit ``--precision`` ever picks graphs without a passed gate.

A *converted* precision (``bf16``) needs no graphs: the runtime makes it of single-precision ones
while it loads them. Whoever asks for it gets it; a bundle names it to record its gate.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from samovar.bundle_fields import Fields
from samovar.bundle_files import safe_name

CONVERTED = ("bf16",)
"""Precisions that a runtime makes of the graphs of an ``fp32`` bundle while it loads them.

Only the encoder is converted: positions of prompts, and small sums, do not fit into 8 bits of
fraction, and the encoder is where the time goes.
"""


@dataclass(frozen=True)
class Gate:
    """What a precision was measured by, and the verdict."""

    passed: bool
    rule: str = ""
    """What had to hold, in words."""
    table: Mapping[str, Any] = field(default_factory=dict)
    """By modality: the figures of both precisions."""

    @classmethod
    def parse(cls, fields: Fields) -> Gate:
        """From ``{"passed", "rule", "table"}``. Raises ValueError."""
        return cls(fields.flag("passed"), fields.text("rule", ""), fields.mapping("table"))

    def document(self) -> dict[str, Any]:
        """What ``bundle.json`` holds."""
        return {"passed": self.passed, "rule": self.rule, "table": dict(self.table)}


@dataclass(frozen=True, eq=False)
class PrecisionGraphs:
    """Graphs of one further precision."""

    roles: Mapping[str, str]
    """Those that differ from the bundle's own; the other roles run the bundle's own graphs."""
    gate: Gate | None = None
    """None: nobody measured it."""

    @property
    def passed(self) -> bool:
        return self.gate is not None and self.gate.passed

    def document(self) -> dict[str, Any]:
        """What ``bundle.json`` holds."""
        gate = {} if self.gate is None else {"gate": self.gate.document()}
        return {"roles": dict(self.roles), **gate}


UNMEASURED = PrecisionGraphs({}, Gate(False, "not measured for this model"))
"""What a bundle that does not name a converted precision has to say of it."""


def parse_precisions(
    fields: Fields, own: str, roles: Mapping[str, str], files: Collection[str]
) -> dict[str, PrecisionGraphs]:
    """The ``precisions`` of a bundle whose own precision and roles are given. Raises ValueError."""
    found = {}
    for name, entry in fields.objects("precisions").items():
        if name == own:
            raise ValueError(f'"precisions" has {name!r}, which is the bundle\'s own precision')
        graphs = {role: safe_name(file) for role, file in entry.texts("roles").items()}
        strange = sorted(set(graphs) - set(roles))
        if strange:
            raise ValueError(f'"precisions.{name}.roles" has {", ".join(strange)}, "roles" has not')
        for role, file in graphs.items():
            if file not in files:
                raise ValueError(
                    f'"precisions.{name}": {role!r} names {file!r}, which "files" does not list'
                )
        gate = Gate.parse(entry.object("gate")) if "gate" in entry.document else None
        found[name] = PrecisionGraphs(graphs, gate)
    return found
