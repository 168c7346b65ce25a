"""Axes, label values, level names and metadata keys, stated once.

Arrays and tensors have MONAI's axis order: (x, y) or (C, x, y), where x is the image column counted from left to
right and y the row counted from top to bottom. A point is (x, y) in pixels and the centre of the top-left pixel is
(0, 0). Names end in ``_xy``, ``_px``, ``_mm`` or ``_deg``.

Label maps name vertebrae as VerSe does (Sekuboyina et al., 2021): T1-T12 are 8-19, L1-L5 are 20-24, L6 is 25, S1 is
26 and T13 is 28.
"""

from __future__ import annotations

from types import MappingProxyType

THORACIC = tuple(f"T{i}" for i in range(1, 13))
LUMBAR = tuple(f"L{i}" for i in range(1, 6))
LEVELS_FROM_ABOVE = (*THORACIC, "T13", *LUMBAR, "L6", "S1")
"""Every level that a label map can name, from head to foot."""

LABEL_OF_LEVEL = MappingProxyType(
    {
        **{level: 8 + i for i, level in enumerate(THORACIC)},
        **{level: 20 + i for i, level in enumerate(LUMBAR)},
        "L6": 25,
        "S1": 26,
        "T13": 28,
    }
)
LEVEL_OF_LABEL = MappingProxyType({label: level for level, label in LABEL_OF_LEVEL.items()})

LUMBAR_LABELS = tuple(LABEL_OF_LEVEL[level] for level in LUMBAR)
S1_LABEL = LABEL_OF_LEVEL["S1"]
BODY_LABELS = tuple(sorted(label for level, label in LABEL_OF_LEVEL.items() if level != "S1"))
"""Every thoracic and lumbar body (all labels but the sacrum's)."""
LABELS_DOWNWARDS = tuple(LABEL_OF_LEVEL[level] for level in (*THORACIC, "T13", *LUMBAR, "L6", "S1"))
"""From head to feet; T13 has the highest code, but lies between T12 and L1."""

# Channels of the network's logits, (B, C, x, y).
CENTRE_CHANNEL = 0
VERTEBRA_CHANNEL = 1
S1_CHANNEL = 2
LUMBAR_CHANNEL = 3
LEVEL_CHANNEL = 4

_FROM_SACRUM = ("S1", *reversed(LUMBAR), "T12", "T11", "T10", "T9")
LEVEL_STEP = 1 / len(_FROM_SACRUM)
"""From one level to the next on the scale of the level channel."""

LEVEL_COORDINATE = MappingProxyType(
    {
        **{LABEL_OF_LEVEL[level]: LEVEL_STEP * (len(_FROM_SACRUM) - 0.5) for level in THORACIC[:8]},
        **{LABEL_OF_LEVEL[level]: LEVEL_STEP * (i + 0.5) for i, level in enumerate(_FROM_SACRUM)},
        LABEL_OF_LEVEL["L6"]: LEVEL_STEP,
        LABEL_OF_LEVEL["T13"]: LEVEL_STEP * 6,
    }
)
"""Value of the level channel's sigmoid inside a body, S1 0.05, L5 0.15, ... T9 and all above it 0.95.

L6 lies half a step below L5, T13 half a step above L1, each between its neighbours.
"""

UNKNOWN_TARGET = -1.0
"""Value of a training target where no one has said what is there; losses leave such pixels out."""

# Spacing provenance.
CALIBRATED = "calibrated"
DETECTOR = "detector"
UNSPECIFIED = "unspecified"
USER = "user"
NO_SPACING = "none"
SPACING_PROVENANCES = (CALIBRATED, DETECTOR, UNSPECIFIED, USER, NO_SPACING)

# Metadata keys of a film (MetaTensor.meta).
META_SPACING = "spacing_xy_mm"
META_PROVENANCE = "spacing_provenance"
META_VALID_AREA = "valid_area"
META_INVERTED = "polarity_inverted"
META_VIEW = "view_projection"
META_BODY_PART = "body_part"
META_NOTES = "reader_notes"
META_SHOWN_BOX = "shown_box_xy_px"
"""The part of the film that was not cut off as an empty border, half-open ((x0, x1), (y0, y1))."""

# The paper's grid, 1024 high and 512 wide, in (x, y) order.
PAPER_SPATIAL_SIZE = (512, 1024)

# Label protocols: what "vertebra" means to a network.
LUMBAR_PROTOCOL = "lumbar"
VISIBLE_PROTOCOL = "visible"
LEVELS_PROTOCOL = "levels"
COORDINATE_PROTOCOL = "coordinate"
PROTOCOLS = (LUMBAR_PROTOCOL, VISIBLE_PROTOCOL, LEVELS_PROTOCOL, COORDINATE_PROTOCOL)


def channel_names(protocol: str) -> tuple[str, ...]:
    """Names of the channels of a network's output under a label protocol.

    Args:
        protocol: "lumbar" (vertebra is L1-L5 only), "visible" (every thoracic and lumbar body, and S1 apart),
            "levels" (as "visible", and L1-L5 once more on their own: a second opinion on which bodies are lumbar) or
            "coordinate" (as "levels", and a body's place on the scale `LEVEL_COORDINATE`, meaningless outside bodies).
    Raises:
        ValueError: there is no such protocol.

    >>> channel_names("levels")
    ('centre', 'vertebra', 's1', 'lumbar')
    """
    names = {
        LUMBAR_PROTOCOL: ("centre", "vertebra"),
        VISIBLE_PROTOCOL: ("centre", "vertebra", "s1"),
        LEVELS_PROTOCOL: ("centre", "vertebra", "s1", "lumbar"),
        COORDINATE_PROTOCOL: ("centre", "vertebra", "s1", "lumbar", "level"),
    }
    if protocol not in names:
        known = ", ".join(f'"{name}"' for name in PROTOCOLS)
        raise ValueError(f"a label protocol is one of {known}; got {protocol!r}")
    return names[protocol]
