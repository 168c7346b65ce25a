"""Experiments beyond the paper: choices that decide defaults, centre noise, and rivals."""

from __future__ import annotations

from typing import Any

from cmnet_monai.paper.definitions import (
    BEDS,
    OWN_CENTRES,
    REAL,
    SYNTHETIC,
    TRUE_CENTRES,
    Asking,
    Experiment,
    Training,
    Variant,
)

DEFAULT = "default"
FILMS_NOTE = (
    "Films are synthetic unless the test bed is `real`; every row is trained like the default but for the one change."
)


def _changed(
    name: str, title: str, group: str, x: float | None = None, quick: bool = False, **settings: Any
) -> Variant:
    """A row whose training has other settings than the default."""
    training = Training(settings=tuple(settings.items()))
    return Variant(name, title, training, group=group, x=x, against=DEFAULT, quick=quick)


def _scaled(name: str, group: str, factor: float, *settings: str) -> Variant:
    """A row whose training has settings that are multiples of the default's."""
    training = Training(scaled=tuple((setting, factor) for setting in settings))
    title = f"{factor:.3g} times the default's"
    return Variant(
        f"{name}_{round(100 * factor)}", title, training, group=group, x=factor, against=DEFAULT, quick=False
    )


def _real_films(count: int) -> Variant:
    training = Training(real_films=count)
    title = f"{count} real films" if count else "no real film"
    return Variant(
        f"real_{count}",
        title,
        training,
        group="Real films in fine-tuning",
        x=float(count),
        against=DEFAULT,
        beds=(REAL,),
    )


def _real_share(share: float) -> Variant:
    training = Training(real_share=share)
    title = f"{100 - round(100 * share)} % synthetic"
    group, x = "Share of synthetic films in fine-tuning", 1 - share
    return Variant(
        f"synthetic_{100 - round(100 * share)}", title, training, group=group, x=x, against=DEFAULT, beds=(REAL,)
    )


def _films(share: float) -> Variant:
    training = Training(share=share)
    return Variant(
        f"films_{round(100 * share)}",
        f"{100 * share:g} % of the training films",
        training,
        group="Number of training films",
        x=share,
        against=DEFAULT,
        quick=share == 0.5,
    )


SIGMA, LOSS, WIDTH, GRID, FLIPS = "Heatmap sigma", "Loss", "Base width", "Grid, sigma with it", "Flips"

ABLATIONS = Experiment(
    "ablations",
    "Choices that decide defaults",
    "beyond the paper, and its outlook (corner points)",
    "Which of the choices that were set by judgement matter?",
    (
        Variant(DEFAULT, "default"),
        *(_scaled("sigma", SIGMA, factor, "heatmap_sigma") for factor in (0.5, 0.75, 1.5, 2.0)),
        _changed("loss_seg", "0.25 centre + 0.75 segmentation", LOSS, w_centre=0.25, w_seg=0.75),
        _changed("loss_centre", "0.75 centre + 0.25 segmentation", LOSS, w_centre=0.75, w_seg=0.25),
        _changed(
            "loss_sum", "sum instead of mean (1 + 1, BCE doubled too)", LOSS, w_centre=1.0, w_seg=1.0, bce_weight=1.0
        ),
        _changed("loss_dice", "Dice alone, as in the paper", LOSS, quick=True, bce_weight=0.0),
        *(_scaled("width", WIDTH, factor, "base_channels") for factor in (0.5, 1.5, 2.0)),
        *(_scaled("grid", GRID, factor, "spatial_size", "heatmap_sigma") for factor in (2 / 3, 4 / 3)),
        Variant(
            "finest_head",
            "without deep supervision: heads at the finest level alone",
            Training(settings=(("network_name", "cmnet_finest_head"),)),
            group="Deep supervision",
            against=DEFAULT,
        ),
        Variant(
            "no_equalisation",
            "without equalisation: range between percentiles scaled",
            Training(settings=(("equalisation", False),)),
            Asking(equalise=False),
            "Equalisation",
            against=DEFAULT,
        ),
        *(_scaled("rate", "Learning rate", factor, "learning_rate") for factor in (0.1, 0.3, 3.0)),
        _changed("no_average", "none", "Moving average of weights", ema_decay=0.0),
        _changed("no_grey", "grey values as they are", "Augmentation", augmentation_strength=0.0),
        _changed("no_elastic", "no elastic deformation", "Augmentation", elastic_px=0.0),
        _changed("no_prompt", "never", "Centre prompts in training", prompt_prob=0.0),
        _changed("prompt_50", "in half of the samples", "Centre prompts in training", prompt_prob=0.5),
        _changed("no_flips", "none", FLIPS, flip_axes=()),
        _changed("all_flips", "left-right and up-down, as the paper's word may mean", FLIPS, flip_axes=(0, 1)),
        _films(0.05),
        _films(0.2),
        _films(0.5),
        _real_share(1.0),
        _real_share(0.4),
        *(_real_films(count) for count in (0, 3, 6, 9)),
        Variant(
            "corners",
            "corner points as a further target",
            Training(settings=(("corner_channel", True),)),
            group="Corner points",
            against=DEFAULT,
        ),
    ),
    ("dice", "body_dice", "average_precision", "centres_missed", "centre_error_px"),
    beds=BEDS,
    differs=(FILMS_NOTE,),
)


def _noise(guide: str, name: str, title: str, x: float, group: str, quick: bool = False, **noise: Any) -> Variant:
    who = "given centres" if guide == TRUE_CENTRES else "self-found centres"
    asking = Asking(guide=guide, **noise)
    against = f"{guide}_jitter_0"
    against = "" if against == f"{guide}_{name}" else against
    return Variant(f"{guide}_{name}", f"{who}, {title}", Training(), asking, f"{group}, {who}", x, against, quick)


def _noise_rows(guide: str) -> tuple[Variant, ...]:
    jitter = [
        _noise(
            guide,
            f"jitter_{px}",
            f"noise of {px} px" if px else "no noise",
            px,
            "Noise, pixels of the grid",
            px in (0, 8),
            jitter_px=float(px),
        )
        for px in (0, 2, 4, 8, 12, 16)
    ]
    missed = [_noise(guide, f"missed_{n}", f"{n} missed", n, "Missed centres", n == 1, missed=n) for n in (1, 2, 3, 5)]
    extra = [_noise(guide, f"extra_{n}", f"{n} false", n, "False centres", n == 1, extra=n) for n in (1, 2, 3)]
    return (*jitter, *missed, *extra)


CENTRE_NOISE = Experiment(
    "centre_noise",
    "Wrong, missing and false centres",
    "the paper's limitation, not measured there",
    "What does a wrong, missing or extra centre in the prompt do to the mask?",
    (
        Variant("auto", "no centres at all", Training(), Asking(), "Without a prompt"),
        *_noise_rows(TRUE_CENTRES),
        *_noise_rows(OWN_CENTRES),
    ),
    ("dice", "body_dice", "precision", "recall"),
    beds=BEDS,
    differs=(
        "Noise is Gaussian along each axis; missed centres are left out at random, false ones lie anywhere on "
        "the grid.",
    ),
)

RIVALS = Experiment(
    "rivals",
    "Other networks in the same time",
    "beyond the paper",
    "Is another network better when trained for the same time on the same films?",
    (
        Variant("cmnet", "CM-Net"),
        Variant(
            "cmnet_own_centres",
            "CM-Net, guided by its own first-pass centres",
            asking=Asking(guide=OWN_CENTRES),
            against="cmnet",
        ),
        Variant("unet", "U-Net (MONAI BasicUNet)", Training("unet", same_time=True), against="cmnet", quick=False),
        Variant(
            "modified_unet", "Modified U-Net", Training("modified_unet", same_time=True), against="cmnet", quick=False
        ),
        Variant("dynunet", "DynUNet (nnU-Net's architecture)", Training("dynunet", same_time=True), against="cmnet"),
        Variant("segresnet", "SegResNet", Training("segresnet", same_time=True), against="cmnet"),
        Variant("swin_unetr", "SwinUNETR", Training("swin_unetr", same_time=True), against="cmnet"),
        Variant(
            "nnunet",
            "nnU-Net v2, 2d, in the same time",
            against="cmnet",
            external="nnunet",
            beds=(SYNTHETIC,),
        ),
        Variant(
            "nnunet_full",
            "nnU-Net v2, 2d, its own schedule",
            against="cmnet",
            external="nnunet_full",
            beds=(SYNTHETIC,),
        ),
    ),
    ("dice", "body_dice", "precision", "recall", "average_precision", "seconds"),
    beds=BEDS,
    differs=(
        "Each network has as many epochs as fit into the time of CM-Net's training, in the ratio of the seconds "
        "of their training steps on this machine. nnU-Net chooses its own preprocessing and augmentation; its trainer "
        "gets the seconds that CM-Net's training took, planning and preprocessing apart, and its memory is that of its "
        "largest process.",
    ),
    costs=True,
)

BEYOND = (ABLATIONS, RIVALS, CENTRE_NOISE)
