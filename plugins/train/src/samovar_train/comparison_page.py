"""The page of a comparison of encoders, from its figures."""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]

DOMAINS = ("medical", "remote_sensing")


def comparison_page(figures: Row) -> str:
    """Markdown: what was trained, what each scored, what each costs."""
    rows: list[Row] = figures["rows"]
    trained = [r for r in rows if r["trained"]]
    return "\n".join(
        [
            _head(figures, trained),
            _answer(trained, figures),
            _scores(trained, figures),
            _costs(rows),
        ]
    )


def _head(figures: Row, trained: list[Row]) -> str:
    steps = sorted({int(r["steps"]) for r in trained})
    told = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}" if steps else "0"
    note = f"\n{figures['note']}\n" if figures.get("note") else ""
    pictures = (steps[-1] if steps else 0) * figures["images"]
    return f"""# Encoders that were tried for `tiny`

Made by `python -m samovar_train.compare {figures["recipe"]}`;
do not edit. The figures are in full in the JSON file beside this page.

Each encoder was built to the same budget, at most 1.5 GMAC at its own input and 6 M parameters
with the decoders, and trained from nothing for {told} steps of {figures["images"]} pictures
({pictures} in all; planned: {figures["steps_planned"]} steps) on the same batches of the same pack,
seed {figures["seed"]}. Prompt encoder and decoders began, for all alike, with the weights of
`{figures["decoders"]}`, whose own encoder is the one called `tiny` here; the region decoder alone
was trained with them. The encoders are after the systems they are named after, not those systems
themselves.

**Read it with care.** The training was minutes long, not hours: it favours encoders that learn
fast over those that end higher. It was one seed; differences of one or two points are noise.
What the encoders cost does not depend on training.
{note}"""


def _answer(trained: list[Row], figures: Row) -> str:
    """What the tables come to, in a few sentences."""
    if not trained:
        return ""
    runtime = next(iter(trained[0]["times"]))
    floor = figures["ellipse"]
    best = max(trained, key=_dice)
    quick = min(trained, key=lambda r: r["times"][runtime]["int8_ms"])
    slower = best["times"][runtime]["int8_ms"] / quick["times"][runtime]["int8_ms"]
    least, most = (min(map(_dice, trained)), max(map(_dice, trained)))
    above = [100 * (v - sum(floor[d] for d in DOMAINS) / 2) for v in (least, most)]
    lines = [
        "## In short",
        "",
        f"- Of those that were trained the quickest in int8 ({runtime}) is {_named(quick)},"
        f" {quick['times'][runtime]['int8_ms']:.1f} ms.",
        f"- The best score is that of {_named(best)}, {100 * (_dice(best) - _dice(quick)):+.1f}"
        f" points of the mean of both domains against it, at × {slower:.1f} its time in int8.",
        f"- An ellipse in the box, which looks at no picture, scores {floor[DOMAINS[0]]:.3f} and"
        f" {floor[DOMAINS[1]]:.3f} on the same objects. The candidates are {above[0]:+.1f} to"
        f" {above[1]:+.1f} points from that: so little training tells them apart by how soon they"
        " begin to use the picture, not by how good they become.",
    ]
    return "\n".join(lines) + "\n"


def _dice(row: Row) -> float:
    return float(sum(row["fp32"][d] for d in DOMAINS)) / len(DOMAINS)


def _named(row: Row) -> str:
    return f"`{row['encoder']}` with {row['activation']} at {row['frame']}²"


def _scores(trained: list[Row], figures: Row) -> str:
    lines = [
        "## What each scored",
        "",
        "Dice by box through the region decoder, mean over sets of at most"
        f" {figures['per_set']} validation pictures each, thin sets left out. *int8*"
        " is the encoder quantised after training (percentile ranges), in ONNX Runtime; its drop is"
        " in points (hundredths of Dice). A model that hardly uses the picture yet has little to"
        " lose.",
        "",
        "| encoder | activation | input | steps | CPU s | medical | overhead | int8 medical |"
        " int8 overhead | drop, medical | drop, overhead |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for r in sorted(trained, key=_dice, reverse=True):
        cells = [f"{r[p][d]:.3f}" for p in ("fp32", "int8") for d in DOMAINS]
        cells += [f"{100 * (r['fp32'][d] - r['int8'][d]):+.2f}" for d in DOMAINS]
        lines.append(
            f"| {_what(r)} | {int(r['steps'])} | {r['cpu_seconds']:.0f} | {' | '.join(cells)} |"
        )
    return "\n".join(lines) + "\n"


def _costs(rows: list[Row]) -> str:
    runtimes = list(rows[0]["times"]) if rows else []
    heads = [f"{r} fp32 | {r} int8 | ×" for r in runtimes]
    lines = [
        "## What each costs",
        "",
        "CPU milliseconds of the encoder on one picture, one thread, the best of several rounds,"
        " fp32 and int8 taking turns; × is fp32 ÷ int8. *In float*: products with weights that ONNX"
        " Runtime leaves in float in the int8 graph, of all. GMAC count attention's products too."
        " Encoders without a row above have their first, random weights here: what those show is"
        " speed, not accuracy.",
        "",
        f"| encoder | activation | input | M parameters, with decoders | GMAC | {' | '.join(heads)}"
        " | in float |",
        "|---|---|---:|---:|---:|" + "---:|---:|---:|" * len(runtimes) + "---:|",
    ]
    for r in rows:
        cells = [
            f"{t['fp32_ms']:.1f} | {t['int8_ms']:.1f} | {t['ratio']:.2f}"
            for t in (r["times"][name] for name in runtimes)
        ]
        every = sum(r["products"].values())
        lines.append(
            f"| {_what(r)} | {r['parameters'] / 1e6:.2f} | {r['encoder_gmac']:.2f} |"
            f" {' | '.join(cells)} | {r['products']['float']} of {every} |"
        )
    if rows:
        lines += ["", f"Instruction set: {rows[0]['instruction_set']}."]
    return "\n".join(lines) + "\n"


def _what(row: Row) -> str:
    return f"{row['encoder']} | {row['activation']} | {row['frame']}²"
