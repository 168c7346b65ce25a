"""The paper's tables and figures as experiments."""

from __future__ import annotations

from cmnet_monai.conventions import VISIBLE_PROTOCOL
from cmnet_monai.experiments.paper.definitions import (
    BEDS,
    OWN_CENTRES,
    TRUE_CENTRES,
    Asking,
    Experiment,
    Training,
    Variant,
)

SYNTHETIC_FILMS = (
    "The paper's 695 outlined films are private; films here are synthetic (training and test patients differ) or the real "
    "films of the test bed `real`."
)
SMALLER_GRID = (
    "Grid, budget and optimiser are those of `pretrain.json` unless settings are given, not the paper's 1024 x 512, 100 epochs "
    "and learning rate 2e-5; they are the same for every network."
)

UNET, MODIFIED, CMNET = Training("unet"), Training("modified_unet"), Training()

NETWORKS = (
    Variant("unet", "U-Net", UNET),
    Variant("modified_unet", "Modified U-Net", MODIFIED),
    Variant("cmnet", "CM-Net", CMNET, reference=True),
    Variant("cmnet_own_centres", "CM-Net, guided by its own first-pass centres", CMNET, Asking(guide=OWN_CENTRES)),
    Variant("cmnet_true_centres", "CM-Net, guided by true centres (upper bound)", CMNET, Asking(guide=TRUE_CENTRES)),
)

TABLE1 = Experiment(
    "table1",
    "Three networks, and what centres add",
    "Table 1",
    "How do U-Net, modified U-Net and CM-Net compare when trained alike, and what do centres as an input add?",
    (
        *NETWORKS,
        Variant(
            "cmnet_visible",
            "CM-Net, trained on every visible body, L1-L5 chosen by name",
            Training(protocol=VISIBLE_PROTOCOL),
            Asking(guide=OWN_CENTRES, by_name=True),
        ),
    ),
    ("dice", "dice_classes", "dice_pooled", "accuracy", "precision", "recall", "average_precision", "body_dice"),
    beds=BEDS,
    differs=(
        SYNTHETIC_FILMS,
        SMALLER_GRID,
        "The paper's U-Net is not described; here it is MONAI's BasicUNet with five levels.",
    ),
    curves=True,
    masks=True,
)

TABLES = (TABLE1,)
