"""The text of a model card, from a bundle's facts and an evaluation's figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from samovar.evaluation.tables import interval, percent, set_table

Row = dict[str, Any]

MEASURED = """## How it was measured

Objects are the instances of a set that has them, else the connected components of each class of at
least 100 px, at most 8 a picture, largest first; in volumes the largest component of each class.
Each object is asked for with its tight box (a 3-D box in volumes), one embedding a picture. A set's
figure is the mean over its objects, a domain's the mean over its sets; intervals are 95 % bootstrap
intervals over images. Beside it, with the same boxes and in the same run: the **ellipse** inscribed
in the box; **Otsu**'s threshold inside the box with the better of both polarities (told by the
truth, which flatters it); **GrabCut** (OpenCV, 5 iterations, slice by slice in volumes). *Error
removed* is the share of the best reference's error (1 − Dice) that the model removes. Thin
structures (vessels, roads) stay out of all means and are reported apart: a box says little of them.
"""


def card_page(facts: Row, running: Row, figures: Row, curves: str, tried: str = "") -> str:
    """The card in Markdown.

    Args:
        facts: ``bundle.json``.
        running: ``Model.describe()``: what ran it.
        figures: what :mod:`samovar.evaluation.card` measures.
        curves: file name of the curves' picture beside the card, or nothing.
        tried: file name of the page beside the card on what else was tried, or nothing.
    """
    return "\n".join(
        [
            _head(facts, running, figures),
            _answer(figures),
            MEASURED,
            _sets("Validation: kinds it was trained on, images it was not", figures["validation"]),
            _sets("Unseen: sets of which it saw nothing", figures["unseen"]),
            _instances(figures),
            _doubt(figures),
            _prompts(figures.get("prompts", {}), figures.get("prompt_limit", 0)),
            _by_input(facts.get("validation", {})),
            _weak(figures),
            _training(facts, curves),
            _tried(tried),
            _data(figures["data"], facts.get("provenance", {}).get("data", [])),
            _licences(facts),
        ]
    )


def _head(facts: Row, running: Row, figures: Row) -> str:
    sizes = "×".join(str(n) for n in facts.get("encode_size", ()))
    quick = (
        f"\n**A quick look: at most {figures['limit']} cases a set.**\n" if figures["limit"] else ""
    )
    licence = facts.get("licence", {}).get("weights", "")
    ran = running["runtime"]
    return f"""# {facts.get("name", running["name"])} {facts.get("version", "")}

Made by `python -m samovar.evaluation.card`; do not edit. The figures are in full in the JSON file
beside this page.
{quick}
**Research use only, not a medical device.** {facts.get("intended_use", "")}

| | |
|---|---|
| parameters | {facts.get("parameters", 0) / 1e6:.2f} M |
| encoder | {facts.get("encoder_gmac", "?")} GMAC at {sizes} |
| prompts | {", ".join(facts.get("prompts", {}).get("kinds", []))} |
| modalities | {", ".join(facts.get("modalities", []))} |
| weights | {licence}, sha256 `{running["weights_sha256"][:16]}…` |
| measured with | {ran["name"]} {ran["version"]}, {ran["precision"]}, {ran["instruction_set"]} |
"""


def _answer(figures: Row) -> str:
    validation, unseen = figures["validation"], figures["unseen"]
    rows = [
        (f"{name.replace('_', ' ')}, validation", row)
        for name, row in validation["domains"].items()
        if row
    ]
    rows += [("unseen sets", unseen["means"].get("all", {}))]
    rows += [
        (f"unseen sets, {name.replace('_', ' ')}", row)
        for name, row in unseen["domains"].items()
        if row
    ]
    for name, part in (("validation", validation), ("unseen", unseen)):
        rows.append((f"thin structures, {name}", part["means"].get("thin", {})))
    lines = [
        "## In one table",
        "",
        "| mean over sets | sets | objects | Dice | 95 % | best reference | ahead by | 95 % |"
        " error removed |",
        "|---|---:|---:|---:|---|---|---:|---|---:|",
    ]
    for name, row in rows:
        if row:
            best = row["best_reference"]
            lines.append(
                f"| {name} | {len(row['sets'])} | {row['objects']} | **{row['dice']:.3f}** |"
                f" {interval(row['ci'])} | {best} {row['references'][best]:.3f} |"
                f" {row['margin']:+.3f} | {_signed(row['margin_ci'])} |"
                f" {percent(row.get('error_removed'))} |"
            )
    return "\n".join(lines) + "\n"


def _sets(title: str, summary: Row) -> str:
    rows = []
    for name, row in summary["datasets"].items():
        mark = {True: " (thin)", "partly": " (partly thin)"}.get(row["thin"], "")
        rows.append((f"{name}, {row['modality'] or row['domain']}{mark}", row))
    return f"## {title}\n\n{set_table(rows)}"


def _instances(figures: Row) -> str:
    rows = [
        f"| {name} | {part} | {row['instances']['ap50']:.3f} | {row['instances']['f1']:.3f} |"
        f" {row['instances']['true']} |"
        for part in ("validation", "unseen")
        for name, row in figures[part]["datasets"].items()
        if "instances" in row
    ]
    if not rows:
        return ""
    head = "## Instances, asked for with boxes\n\n| set | part | AP50 | F1 at IoU 0.5 | objects |\n"
    return head + "|---|---|---:|---:|---:|\n" + "\n".join(rows) + "\n"


def _doubt(figures: Row) -> str:
    rows = [
        f"| {name.replace('_', ' ')}, {part} | {row['doubt']['auroc']:.3f} |"
        f" {row['doubt']['bad']} | {row['doubt']['objects']} | {row['doubt']['error']:.3f} |"
        for part in ("validation", "unseen")
        for name, row in (*figures[part]["domains"].items(), *figures[part]["means"].items())
        if "doubt" in row and name not in ("trained", "unseen")
    ]
    if not rows:
        return ""
    return (
        "## Does it know when it is wrong?\n\nHow well a low predicted quality finds masks of Dice"
        " below 0.8 (area under the ROC curve, all objects counting the same), and the mean"
        " absolute difference between predicted and true IoU.\n\n"
        "| objects of | AUROC | bad masks | masks | error of the quality |\n"
        "|---|---:|---:|---:|---:|\n" + "\n".join(rows) + "\n"
    )


def _prompts(prompts: Row, limit: int) -> str:
    if not prompts:
        return ""
    domains = [d for d in next(iter(prompts.values())) if d != "all"]
    lines = [
        "## Other prompts",
        "",
        f"Dice on at most {limit} validation pictures a set, the same for all prompts (volumes left"
        " out). Clicks are corrective: at the"
        " centre of the largest error, with the previous mask as prompt; the figures are after the"
        " first prompt and after each click.",
        "",
        "| prompt | " + " | ".join(d.replace("_", " ") for d in domains) + " | all |",
        "|---|" + "---|" * (len(domains) + 1),
    ]
    for name, row in prompts.items():
        cells = [_steps(row[d]) for d in (*domains, "all")]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _by_input(validation: Row) -> str:
    """Dice by the size of the encoder's input, as the bundle's maker measured it."""
    rows = validation.get("by_input", [])
    if not rows:
        return ""
    decoders = [k for k, v in rows[0].items() if isinstance(v, dict)]
    columns = [(d, domain) for d in decoders for domain in rows[0][d]]
    lines = [
        "## What a smaller input costs",
        "",
        f"Dice, the same weights at other input sizes. {validation.get('protocol', '')}.",
        "",
        "| input | encoder, GMAC | "
        + " | ".join(f"{d}, {domain.replace('_', ' ')}" for d, domain in columns)
        + " |",
        "|---|---:|" + "---:|" * len(columns),
    ]
    for row in rows:
        cells = [f"{row[d][domain]:.3f}" for d, domain in columns]
        lines.append(f"| {row['side']}² | {row['encoder_gmac']:.2f} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _weak(figures: Row) -> str:
    losing = [
        (row["margin"], f"{name} ({part}): {row['dice']:.3f}, {row['best_reference']}"
         f" {row['references'][row['best_reference']]:.3f}")
        for part in ("validation", "unseen")
        for name, row in figures[part]["datasets"].items()
        if row["margin"] < 0
    ]  # fmt: skip
    head = "## Where it is worse than a reference\n\n"
    if not losing:
        return head + "On no set.\n"
    return head + "\n".join(f"- {line}" for _, line in sorted(losing)) + "\n"


def _training(facts: Row, curves: str) -> str:
    provenance = facts.get("provenance", {})
    generated = provenance.get("generated", {})
    stages = [
        f"`{s['recipe']}` ({s['steps']} steps, {s['minutes']:.0f} min)"
        for s in provenance.get("stages", [])
    ]
    recipe = ", then ".join(stages) or f"`{provenance.get('recipe', '')}`"
    lines = [
        "## Training",
        "",
        f"From scratch by {recipe}, seed {provenance.get('seed', '')}:"
        f" {provenance.get('steps', '?')} steps in {provenance.get('minutes', 0) / 60:.1f} h on"
        f" {provenance.get('hardware', '')}, {provenance.get('date', '')}.",
    ]
    if provenance.get("note"):
        lines.append(f"Note: {provenance['note']}.")
    if generated:
        made = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in generated.items())
        lines.append(f"Beside the sets below it saw generated images: {made}.")
    if curves:
        lines += [
            "",
            f"![Course of the training]({curves})",
            "",
            "Dice of box prompts on two validation pictures a set in the two domains, and the IoU"
            " on the (augmented) training images; by the region decoder once there is one.",
        ]
    return "\n".join(lines) + "\n"


def _tried(page: str) -> str:
    if not page:
        return ""
    return (
        "## Encoders that were tried\n\nSeveral kinds of encoder of the same size, trained alike"
        f" for a short while and timed in fp32 and int8: [what each scored and costs]({page}).\n"
    )


def _data(rows: Sequence[Row], trained: Sequence[Row]) -> str:
    lines = [
        "## Data",
        "",
        "Validation images are kept out of training, by patient or by block. Images of a set that"
        " was not trained on are all unseen.",
        "",
        "| set | modality | images | kept for validation | trained on | licence | source |",
        "|---|---|---:|---:|---|---|---|",
    ]
    for row in rows:
        note = f" ({row['note']})" if row.get("note") else ""
        kept = str(row["validation"]) if row["train"] else "all unseen"
        lines.append(
            f"| {row['name']} | {row['modality'] or row['domain']} | {row['cases']} | {kept} |"
            f" {'yes' if row['train'] else 'no'} | {row.get('licence', '')} |"
            f" {row.get('source', '')}{note} |"
        )
    known = {row["name"] for row in rows}
    lines += [
        f"| {row['name']} | | | not evaluated | yes | {row['licence']} | {row['source']} |"
        for row in trained
        if row["name"] not in known
    ]
    return "\n".join(lines) + "\n"


def _licences(facts: Row) -> str:
    licence = facts.get("licence", {})
    return (
        f"## Licence\n\nCode {licence.get('code', '')}, weights {licence.get('weights', '')}."
        f" {licence.get('note', '')}\n"
    )


def _steps(row: Row) -> str:
    if not row:
        return ""
    return " → ".join(f"{v:.3f}" for v in row.get("clicks", [row["dice"]]))


def _signed(ends: list[float] | None) -> str:
    return "" if ends is None else f"{ends[0]:+.3f} to {ends[1]:+.3f}"
