"""Every experiment: the paper's tables and figures, and what goes beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cmnet_monai.conventions import VISIBLE_PROTOCOL
from cmnet_monai.paper.definitions import (
    ALL_BODIES,
    BATCH_STATISTICS,
    FOURIER,
    OWN_CENTRES,
    REAL,
    SYNTHETIC,
    TRUE_CENTRES,
    Experiment,
    Inference,
    Training,
    Variant,
)

SYNTHETIC_FILMS = (
    "The paper's 695 outlined films are private; films here are synthetic (training and test patients differ) or "
    "the real films of the test set `real`."
)
SMALLER_GRID = (
    "Grid, budget and optimiser are those of `pretrain.json` unless settings are given, not the paper's 1024 x "
    "512, 100 epochs and learning rate 2e-5; they are the same for every network."
)
CMNET, VISIBLE = Training(), Training(protocol=VISIBLE_PROTOCOL)
OWN, TRUE = Inference(prompt=OWN_CENTRES), Inference(prompt=TRUE_CENTRES)
OWN_TITLE = "CM-Net, guided by its own first-pass centres"

NETWORKS = (
    Variant("unet", "U-Net", Training("unet")),
    Variant("modified_unet", "Modified U-Net", Training("modified_unet")),
    Variant("cmnet", "CM-Net"),
    Variant("cmnet_own_centres", OWN_TITLE, CMNET, OWN),
    Variant("cmnet_true_centres", "CM-Net, guided by true centres (upper bound)", CMNET, TRUE),
)
BY_NAME = Inference(prompt=OWN_CENTRES, by_name=True)
TABLE1 = Experiment(
    "table1",
    "Three networks, and what centres add",
    "Table 1",
    "How do U-Net, modified U-Net and CM-Net compare when trained alike, and what do centres as an input add?",
    (
        *NETWORKS,
        Variant("cmnet_visible", "CM-Net, trained on every visible body, L1-L5 chosen by name", VISIBLE, BY_NAME),
    ),
    ("dice", "dice_classes", "dice_pooled", "accuracy", "precision", "recall", "average_precision", "body_dice"),
    differs=(
        SYNTHETIC_FILMS,
        SMALLER_GRID,
        "The paper's U-Net is not described; here it is MONAI's BasicUNet with five levels.",
    ),
)
TABLE2 = Experiment(
    "table2",
    "Intervals and tests",
    "Table 2",
    "How sure are the means, and do the networks differ on the same films?",
    NETWORKS,
    ("dice",),
    differs=(
        SYNTHETIC_FILMS,
        "The film is the unit: a film's DSC is the mean over seeds, intervals are bootstrapped over films (BCa, "
        "9,999 resamples). Tests are Friedman over all rows, then Wilcoxon's signed-rank test for each pair with "
        "Holm's correction; effect size is the matched-pairs rank-biserial correlation. The paper names no test.",
    ),
    parts=("tests",),
)
FIGURES = Experiment(
    "figures",
    "Curves, masks, and films with implants, fractures and cement",
    "Figures 4 to 6",
    "How do precision and recall trade off, what do the masks look like, and what do implants, fractures and "
    "cement cost?",
    NETWORKS,
    ("average_precision", "precision", "recall", "dice", "body_dice"),
    differs=(
        SYNTHETIC_FILMS,
        "Curves pool the pixels of all films and seeds at 101 thresholds. Strata by finding need the generator's "
        "truth: real films carry none.",
    ),
    parts=("strata", "curves", "masks"),
)

ON_A, ON_B = Inference("test_domain_a"), Inference("test_domain_b")
BARE_ON_A, BARE_ON_B = (Inference(f"test_domain_{d}", equalise=False) for d in "ab")
FOURIER_ON_B, STATISTICS_ON_B = (Inference("test_domain_b", remedy=remedy) for remedy in (FOURIER, BATCH_STATISTICS))
LUMBAR_ALL, THORACIC_ALL = (Inference(films, truth=ALL_BODIES) for films in ("test_lumbar", "test_thoracic"))
GUIDED_ALL = Inference("test_thoracic", truth=ALL_BODIES, prompt=OWN_CENTRES)
BOTH_REGIONS = Training(films=("train_lumbar", "train_thoracic"), protocol=VISIBLE_PROTOCOL)
A, BATCH_NORM = Training(films=("train_domain_a",)), Training("unet_batch_norm", ("train_domain_a",))
EQUALISED_A = Training(films=A.films, settings=(("augmentation_strength", 0.0),))
BARE_A = replace(EQUALISED_A, settings=(*EQUALISED_A.settings, ("equalisation", False)))
MIXED_A = Training(films=A.films, overlays=("look_mixing",), unlabelled="train_domain_b")
BOTH_DOMAINS = Training(films=("train_domain_a", "train_domain_b"))


def _thoracic(name: str, training: Training, inference: Inference, against: str, title: str, **more: Any) -> Variant:
    return Variant(name, title, training, inference, "Thoracic films", against, **more)


def _domain(name: str, training: Training, inference: Inference, against: str, title: str, **more: Any) -> Variant:
    return Variant(name, title, training, inference, "Films of another manufacturer", against, **more)


# fmt: off
TABLE3_ROWS = (
    _thoracic("lumbar", CMNET, Inference(), "", "lumbar films, L1-L5 (as trained)"),
    _thoracic("thoracic", CMNET, THORACIC_ALL, "lumbar", "thoracic films, every body, trained on L1-L5"),
    _thoracic("lumbar_visible", VISIBLE, LUMBAR_ALL, "", "lumbar films, every body, trained on every visible body"),
    _thoracic("thoracic_visible", VISIBLE, THORACIC_ALL, "lumbar_visible",
              "thoracic films, every body, trained on every visible body"),
    _thoracic("thoracic_guided", VISIBLE, GUIDED_ALL, "lumbar_visible",
              "the same, guided by its own first-pass centres", quick=False),
    _thoracic("thoracic_trained", BOTH_REGIONS, THORACIC_ALL, "lumbar_visible",
              "the same, outlined thoracic films in training (upper bound)"),
    _domain("bare_on_a", BARE_A, BARE_ON_A, "",
            "trained on domain a without equalisation and grey-value augmentation; domain a"),
    _domain("bare_on_b", BARE_A, BARE_ON_B, "bare_on_a", "the same; domain b (before any remedy)"),
    _domain("domain_a_on_a", A, ON_A, "", "trained on domain a with both; domain a"),
    _domain("domain_a_on_b", A, ON_B, "domain_a_on_a", "the same; domain b"),
    _domain("equalised_on_b", EQUALISED_A, ON_B, "domain_a_on_a",
            "equalisation alone, no grey-value augmentation; domain b", quick=False),
    _domain("fourier_on_b", A, FOURIER_ON_B, "domain_a_on_a",
            "both; domain b given the training films' low frequencies (Fourier amplitudes) at inference"),
    _domain("mixing_on_b", MIXED_A, ON_B, "domain_a_on_a",
            "both, and amplitudes of unlabelled films of domain b mixed in during training; domain b"),
    _domain("batch_norm_on_a", BATCH_NORM, ON_A, "", "U-Net with batch norm, trained on domain a; domain a",
            quick=False),
    _domain("batch_norm_on_b", BATCH_NORM, ON_B, "batch_norm_on_a", "the same; domain b", quick=False),
    _domain("statistics_on_b", BATCH_NORM, STATISTICS_ON_B, "batch_norm_on_a",
            "the same, statistics of its batch norms estimated anew on domain b"),
    _domain("statistics_of_cmnet", A, STATISTICS_ON_B, "domain_a_on_a", "CM-Net, normalisation estimated anew",
            unavailable="CM-Net has group norms, which keep no statistics of the training films"),
    _domain("both_domains", BOTH_DOMAINS, ON_B, "domain_a_on_a",
            "trained on outlined films of both domains; domain b (upper bound)", quick=False),
)
# fmt: on
TABLE3 = Experiment(
    "table3",
    "Films unlike those of the training",
    "Table 3 and the discussion",
    "What do thoracic films and another manufacturer's processing cost, and which remedy without labels helps?",
    TABLE3_ROWS,
    ("dice", "precision", "recall", "accuracy", "average_precision"),
    (SYNTHETIC,),
    (
        "Films are synthetic. Domain a is film-like, domain b multi-scale processing; the test films of both domains "
        "show the same patients, so differences between them are paired. Those between lumbar and thoracic films "
        "are not.",
        SMALLER_GRID,
        "The paper's loss is 0.138 (thoracic) and 0.129 (other manufacturer); the aim here is less than 0.05.",
    ),
)

DEFAULT = "default"


def _changed(group: str, name: str, title: str, **more: Any) -> Variant:
    """A row that is trained otherwise than the default: by `Training`'s fields, or by settings of another name."""
    own = {key: more.pop(key) for key in list(more) if key in Training.__dataclass_fields__}
    options = {key: more.pop(key) for key in list(more) if key in Variant.__dataclass_fields__}
    training = Training(**own, settings=tuple(more.items()))
    return Variant(name, title, training, group=group, against=DEFAULT, **{"quick": False, **options})


def _scaled(group: str, name: str, factors: Sequence[float], *settings: str) -> list[Variant]:
    """Rows whose training has settings that are multiples of the default's."""
    return [
        _changed(
            group,
            f"{name}_{round(100 * factor)}",
            f"{factor:.3g} times the default's",
            scaled=tuple((setting, factor) for setting in settings),
            x=factor,
        )
        for factor in factors
    ]


# fmt: off
ABLATION_ROWS = (
    Variant(DEFAULT, "default"),
    *_scaled("Heatmap sigma", "sigma", (0.5, 0.75, 1.5, 2.0), "heatmap_sigma"),
    _changed("Loss", "loss_seg", "0.25 centre + 0.75 segmentation", w_centre=0.25, w_seg=0.75),
    _changed("Loss", "loss_centre", "0.75 centre + 0.25 segmentation", w_centre=0.75, w_seg=0.25),
    _changed("Loss", "loss_sum", "sum instead of mean (1 + 1, BCE doubled too)", w_centre=1.0, w_seg=1.0,
             bce_weight=1.0),
    _changed("Loss", "loss_dice", "Dice alone, as in the paper", quick=True, bce_weight=0.0),
    *_scaled("Base width", "width", (0.5, 1.5, 2.0), "base_channels"),
    *_scaled("Grid, sigma with it", "grid", (2 / 3, 4 / 3), "spatial_size", "heatmap_sigma"),
    _changed("Deep supervision", "finest_head", "without deep supervision: heads at the finest level alone",
             network_name="cmnet_finest_head", quick=True),
    _changed("Equalisation", "no_equalisation", "without equalisation: range between percentiles scaled",
             equalisation=False, inference=Inference(equalise=False), quick=True),
    *_scaled("Learning rate", "rate", (0.1, 0.3, 3.0), "learning_rate"),
    _changed("Moving average of weights", "no_average", "none", ema_decay=0.0),
    _changed("Augmentation", "no_grey", "grey values as they are", augmentation_strength=0.0),
    _changed("Augmentation", "no_elastic", "no elastic deformation", elastic_px=0.0),
    _changed("Centre prompts in training", "no_prompt", "never", prompt_prob=0.0),
    _changed("Centre prompts in training", "prompt_50", "in half of the samples", prompt_prob=0.5),
    _changed("Flips", "no_flips", "none", flip_axes=()),
    _changed("Flips", "all_flips", "left-right and up-down, as the paper's word may mean", flip_axes=(0, 1)),
    *(_changed("Number of training films", f"films_{round(100 * share)}", f"{100 * share:g} % of the training films",
               share=share, x=share, quick=share == 0.5) for share in (0.05, 0.2, 0.5)),
    *(_changed("Share of synthetic films in fine-tuning", f"synthetic_{n}", f"{n} % synthetic",
               real_share=round(1 - n / 100, 2), x=n / 100, test_sets=(REAL,), quick=True) for n in (0, 60)),
    *(_changed("Real films in fine-tuning", f"real_{n}", f"{n} real films" if n else "no real film",
               real_films=n, x=float(n), test_sets=(REAL,), quick=True) for n in (0, 3, 6, 9)),
    _changed("Corner points", "corners", "corner points as a further target", corner_channel=True, quick=True),
)
# fmt: on
ABLATIONS = Experiment(
    "ablations",
    "Choices that decide defaults",
    "beyond the paper, and its outlook (corner points)",
    "Which of the choices that were set by judgement matter?",
    ABLATION_ROWS,
    ("dice", "body_dice", "average_precision", "centres_missed", "centre_error_px"),
    differs=(
        "Films are synthetic unless the test set is `real`; every row is trained like the default but for the one "
        "change.",
    ),
)


def _noise(prompt: str) -> list[Variant]:
    who = "given centres" if prompt == TRUE_CENTRES else "self-found centres"
    kinds = {
        "jitter": ("jitter_px", (0, 2, 4, 8, 12, 16), "Noise, pixels of the grid", "noise of {} px"),
        "missed": ("missed", (1, 2, 3, 5), "Missed centres", "{} missed"),
        "extra": ("extra", (1, 2, 3), "False centres", "{} false"),
    }
    rows = []
    for kind, (setting, values, group, title) in kinds.items():
        for value in values:
            what = f"{who}, {title.format(value) if value else 'no noise'}"
            noise: dict[str, Any] = {setting: float(value) if kind == "jitter" else value}
            inference = Inference(prompt=prompt, **noise)
            against = f"{prompt}_jitter_0" if value else ""
            quick = value in ((0, 8) if kind == "jitter" else (1,))
            name = f"{prompt}_{kind}_{value}"
            rows.append(Variant(name, what, CMNET, inference, f"{group}, {who}", against, value, quick))
    return rows


CENTRE_NOISE = Experiment(
    "centre_noise",
    "Wrong, missing and false centres",
    "the paper's limitation, not measured there",
    "What does a wrong, missing or extra centre in the prompt do to the mask?",
    (Variant("auto", "no centres at all", group="Without a prompt"), *_noise(TRUE_CENTRES), *_noise(OWN_CENTRES)),
    ("dice", "body_dice", "precision", "recall"),
    differs=(
        "Noise is Gaussian along each axis; missed centres are left out at random, false ones lie anywhere on it.",
    ),
)


NNUNET = "docs/examples/nnunet/run.py"


def _rival(name: str, title: str, network: str = "", **more: Any) -> Variant:
    training = Training(network, same_time=True) if network else CMNET
    return Variant(name, title, training, against="cmnet", **more)


RIVALS = Experiment(
    "rivals",
    "Other networks in the same time",
    "beyond the paper",
    "Is another network better when trained for the same time on the same films?",
    (
        Variant("cmnet", "CM-Net"),
        _rival("cmnet_own_centres", OWN_TITLE, inference=OWN),
        _rival("unet", "U-Net (MONAI BasicUNet)", "unet", quick=False),
        _rival("modified_unet", "Modified U-Net", "modified_unet", quick=False),
        _rival("dynunet", "DynUNet (nnU-Net's architecture)", "dynunet"),
        _rival("segresnet", "SegResNet", "segresnet"),
        _rival("swin_unetr", "SwinUNETR", "swin_unetr"),
        _rival("nnunet", "nnU-Net v2, 2d, in the same time", external=NNUNET, test_sets=(SYNTHETIC,)),
        _rival("nnunet_full", "nnU-Net v2, 2d, its own schedule", external=NNUNET, test_sets=(SYNTHETIC,)),
    ),
    ("dice", "body_dice", "precision", "recall", "average_precision", "seconds"),
    differs=(
        "Each network has as many epochs as fit into the time of CM-Net's training, in the ratio of the seconds "
        "of their training steps on this machine. nnU-Net chooses its own preprocessing and augmentation; its trainer "
        "gets the seconds that CM-Net's training took, planning and preprocessing apart, and its memory is that of its "
        "largest process.",
    ),
    parts=("costs",),
)

EXPERIMENTS: Mapping[str, Experiment] = {
    e.name: e for e in (TABLE1, TABLE2, TABLE3, FIGURES, ABLATIONS, RIVALS, CENTRE_NOISE)
}


def find_experiments(names: Sequence[str] = ()) -> list[Experiment]:
    """Experiments of the given names in the catalogue's order, all without a name.

    Raises:
        ValueError: there is no experiment of a name.
    """
    unknown = [name for name in names if name not in EXPERIMENTS]
    if unknown:
        raise ValueError(f"no experiment {unknown[0]!r}; there are {', '.join(EXPERIMENTS)}")
    return [experiment for name, experiment in EXPERIMENTS.items() if not names or name in names]
