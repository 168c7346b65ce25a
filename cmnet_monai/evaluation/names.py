"""Names of predicted label maps against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmnet_monai.conventions import LABEL_OF_LEVEL, LEVEL_OF_LABEL, LUMBAR_LABELS, S1_LABEL
from cmnet_monai.io.files.tables import markdown_table

Labels = NDArray[np.integer]


def judge_names(labels: Labels, true: Labels) -> dict[str, Any]:
    """Names of a label map against the true one.

    Returns:
        ``l5_s1_in_view``: both are on the film; ``lumbar``: true bodies of L1-L5; ``found``: those most of
        whose pixels bear some body's name; ``named``: their own; ``wrong``: the commonest name of the others.
    """
    present = set(np.unique(true).tolist())
    names = {}
    for label in (label for label in LUMBAR_LABELS if label in present):
        values, counts = np.unique(labels[true == label], return_counts=True)
        names[label] = int(values[np.argmax(counts)])
    wrong = {
        LEVEL_OF_LABEL[label]: LEVEL_OF_LABEL.get(name, "nothing") for label, name in names.items() if name != label
    }
    found = sum(name not in (0, S1_LABEL) for name in names.values())
    seen = {LABEL_OF_LEVEL["L5"], S1_LABEL} <= present
    named = len(names) - len(wrong)
    return {"l5_s1_in_view": seen, "lumbar": len(names), "found": found, "named": named, "wrong": wrong}


def names_table(names: Sequence[dict[str, Any]]) -> str:
    """Shares of bodies found and named, and of films without a wrong name, as a Markdown table."""
    rows = []
    for heading, group in (("L5-S1 in view", [n for n in names if n["l5_s1_in_view"]]), ("all", list(names))):
        if group:
            bodies, right = sum(n["lumbar"] for n in group), sum(n["named"] == n["lumbar"] for n in group)
            counts = [f"{sum(n[key] for n in group)} of {bodies}" for key in ("found", "named")]
            rows.append([heading, len(group), *counts, f"{right} ({100 * right / len(group):.1f} %)"])
    head = ["films", "number", "L1-L5 found", "L1-L5 named rightly", "films with every name right"]
    return markdown_table(head, rows)
