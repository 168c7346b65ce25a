"""The report of all experiments: what each asks, its commands, definitions, published and obtained numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from cmnet_monai.paper.blocks import Block, Code, Heading, Items, Table, Text, write_html, write_markdown
from cmnet_monai.paper.catalogue import EXPERIMENTS
from cmnet_monai.paper.definitions import METRICS, TEST_PATIENTS, Experiment
from cmnet_monai.paper.sections import section
from cmnet_monai.paper.stored_results import read_results

TITLE = "The paper's experiments"


def report(
    work: Path,
    output: Path | None = None,
    experiments: Iterable[Experiment] | None = None,
    real_films: bool = False,
) -> list[Path]:
    """Write ``report.html`` (one page, pictures inside) and ``report.md`` (pictures in ``figures``).

    Args:
        work: folder of the runs; only ``results`` below it is read, and the pictures it names. Its ``note.txt``, if
            there is one, comes into the introduction: paragraphs, and commands between Markdown's fences.
        output: folder of the pages, the work folder by default; or a file, ``.md`` or ``.html``, for that page alone.
        experiments: which; all by default.
        real_films: show masks on real films too. Keep such a report to yourself.
    Returns:
        The pages.
    """
    chosen = list(EXPERIMENTS.values() if experiments is None else experiments)
    place = work if output is None else output
    pages = [place] if place.suffix in (".md", ".html") else [place / "report.html", place / "report.md"]
    blocks = report_blocks(work, chosen, real_films)
    for page in pages:
        if page.suffix == ".html":
            write_html(page, TITLE, blocks)
        else:
            write_markdown(page, blocks)
    return pages


def report_blocks(work: Path, experiments: Iterable[Experiment], real_films: bool = False) -> list[Block]:
    """Everything that the report says."""
    chosen = list(experiments)
    note = _note(work / "results" / "note.txt")
    blocks: list[Block] = [Heading(TITLE, 1), *_introduction(), *note, *_overview(chosen), *_definitions()]
    for experiment in chosen:
        blocks += [Heading(f"{experiment.name}: {experiment.title}"), Text(f"Answers {experiment.answers}.")]
        blocks += [
            Text(experiment.question),
            Code(f"cmnet-monai experiments run {experiment.name} --work runs/experiments"),
        ]
        for bed in experiment.beds:
            blocks += section(read_results(experiment, work, bed), real_films)
        blocks += [Heading("What differs from the paper", 3), Items(experiment.differs)]
    return blocks


def _note(file: Path) -> list[Block]:
    if not file.is_file():
        return []
    parts = re.split(r"^```\w*\n(.*?)^```\n", file.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    blocks: list[Block] = []
    for number, part in enumerate(parts):  # text and commands take turns
        if number % 2:
            blocks.append(Code(part.rstrip("\n")))
        else:
            blocks += [Text(" ".join(text.split())) for text in part.split("\n\n") if text.strip()]
    return blocks


def _introduction() -> list[Block]:
    commands = [
        "cmnet-monai experiments list",
        "cmnet-monai experiments run table1 --work runs/experiments --dry-run",
        "cmnet-monai experiments run --work runs/experiments --seeds 0,1,2",
        "cmnet-monai datalist folder FILMS data/real --folds 4 --validation 0",
        "cmnet-monai experiments run table1 table2 --work runs/experiments --bed real --real data/real",
        "cmnet-monai experiments collect OTHER_MACHINES_WORK --work runs/experiments  # rows divided with --row",
        "cmnet-monai experiments report --work runs/experiments",
        "# with a GPU, the paper's grid and budget:",
        "cmnet-monai experiments run table1 --work runs/paper --films 20000 --set spatial_size=[512,1024] \\",
        "    --set heatmap_sigma=8.0 --set batch_size=10 --set learning_rate=2e-5 --set num_workers=8 \\",
        "    --set cache_rate=0.0 --set pretrain.epoch_length=700 --set pretrain.max_epochs=100",
    ]
    texts = [
        f"Synthetic: {TEST_PATIENTS} films of as many patients that no training has seen, made by the command "
        "with a fixed seed.",
        "Real: a folder of `fold_0.json` ..., given by `--real`. Weights trained on synthetic films are "
        "fine-tuned for each fold, and every film is measured by the weights of the fold that left it out.",
    ]
    return [
        Text(
            "Written by `cmnet-monai experiments report` from the files in `results`: what was not run says so. "
            "A run goes on where it was broken off; equal trainings are run once for all experiments. `--quick` "
            "runs the whole chain on tiny settings within three minutes, to show that it works; its numbers mean "
            "nothing."
        ),
        Code("\n".join(commands)),
        Text("Test beds:"),
        Items(texts),
        Text(
            "`results/<bed>/<experiment>.csv` and `.json` hold one row for each variant and seed, with commit, "
            "versions, hardware, seconds, and the SHA-256 of the contents of films and label maps; "
            "`<experiment>_films.csv` every film. Brackets are 95 % bootstrap intervals over films; a film's "
            "value is the mean over seeds. They do not hold the noise of training: the range of the seeds' means does, "
            "where there are several, and a row of one seed that differs by less than that has shown nothing."
        ),
    ]


def _overview(experiments: list[Experiment]) -> list[Block]:
    rows = [[f"`{e.name}`", e.answers, e.question, ", ".join(e.beds)] for e in experiments]
    return [Heading("Experiments"), Table(["name", "answers", "question", "test beds"], rows)]


def _definitions() -> list[Block]:
    rows = [[title, definition] for title, definition in METRICS.values()]
    return [
        Heading("Definitions"),
        Table(["number", "definition"], rows),
        Text(
            "The mask is every pixel with a vertebra probability of 0.5 or more, brought back to the film's own "
            "size, except where a row says that L1-L5 are chosen by name. Positive is L1-L5, or every thoracic "
            "and lumbar body where a row says so. The paper's precision and recall do not agree with its DSC under one "
            "definition, hence three of them."
        ),
    ]
