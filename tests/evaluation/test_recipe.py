from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest

from cmnet_monai.evaluation import recipe as module
from cmnet_monai.evaluation.recipe import AFTER, Recipe, Step, plan, run_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Five real films in two folds, and a synthetic data set that is there already."""
    films = [{"image": f"images/film_{i}.png", "label": f"labels/film_{i}.png", "patient": f"p{i}"} for i in range(5)]
    real, work = tmp_path / "real", tmp_path / "work"
    real.mkdir()
    for k, test in enumerate((films[:2], films[2:])):
        content = {"training": [f for f in films if f not in test], "validation": [], "test": test}
        (real / f"fold_{k}.json").write_text(json.dumps(content), encoding="utf-8")
    (real / "fold_0_test.json").write_text("{}", encoding="utf-8")  # no fold
    (work / "synthetic").mkdir(parents=True)
    made = [{"image": f"films/{i}.dcm", "label": f"labels/{i}.png"} for i in range(300)]
    (work / "synthetic" / "datalist.json").write_text(
        json.dumps({"training": made[:270], "validation": made[270:]}), encoding="utf-8"
    )
    return Recipe(work, real, tmp_path / "bundle", synthetic=300, settings={"precision": "bf16"})


def option(step: Step, name: str) -> str:
    return step.command[step.command.index(f"--{name}") + 1]


def test_each_fold_is_fine_tuned_from_pretraining_and_asked_about_its_own_test_films(recipe: Recipe) -> None:
    steps = {step.name: step for step in plan(recipe)}
    assert list(steps) == [
        *("synthesize", "pretrain", "inference pretrained"),
        *("finetune fold_0", "inference fold_0_finetuned", "midway fold_0", "inference fold_0"),
        *("finetune fold_1", "inference fold_1_finetuned", "midway fold_1", "inference fold_1", "average"),
    ]
    folds = [str(recipe.work / f"fold_{k}.pt") for k in range(2)]
    halves = [str(recipe.work / folder / "best.pt") for folder in ("pretrain", "finetune_fold_1")]
    assert steps["midway fold_1"].command[-4:] == ("pack-weights", *halves, folds[1])
    assert steps["average"].command[-4:] == ("pack-weights", *folds, str(recipe.work / "model.pt"))
    assert option(steps["finetune fold_1"], "init_weights") == str(recipe.work / "pretrain" / "best.pt")
    assert option(steps["finetune fold_1"], "dataset_dir") == str(recipe.work / "fold_1.json")
    assert option(steps["inference fold_1_finetuned"], "ckpt_path") == halves[1]
    assert option(steps["inference fold_1"], "ckpt_path") == folds[1]
    assert option(steps["inference fold_1"], "dataset_dir") == str(recipe.work / "fold_1_test.json")
    assert "--init_weights" not in steps["pretrain"].command
    assert option(steps["pretrain"], "precision") == option(steps["finetune fold_0"], "precision") == "bf16"


def test_no_test_film_of_a_fold_is_in_its_training(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_call", lambda step, log, together: 1.0)
    monkeypatch.setattr(module, "score_recipe", lambda recipe: None)
    run_recipe(recipe, say=lambda line: None)
    tested = []
    for k in range(2):
        fold = json.loads((recipe.work / f"fold_{k}.json").read_text(encoding="utf-8"))
        test = json.loads((recipe.work / f"fold_{k}_test.json").read_text(encoding="utf-8"))
        assert test == {"test": fold["test"]}
        images = [{item["image"] for item in fold[section]} for section in ("training", "test")]
        assert not images[0] & images[1] and len(images[0] | images[1]) == 5
        assert all(Path(image).is_absolute() for image in images[0] | images[1])
        tested += sorted(images[1])
    everything = json.loads((recipe.work / "all_test.json").read_text(encoding="utf-8"))["test"]
    assert sorted(item["image"] for item in everything) == sorted(tested)
    part = json.loads((recipe.work / "synthetic_part.json").read_text(encoding="utf-8"))
    assert (len(part["training"]), len(part["validation"])) == (240, 16)


def test_what_ran_before_is_skipped_up_to_the_first_command_that_changed(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    monkeypatch.setattr(module, "_call", lambda step, log, together: ran.append(step.name) or 1.0)
    monkeypatch.setattr(module, "score_recipe", lambda recipe: None)
    run_recipe(recipe, say=lambda line: None)
    assert len(ran) == 12
    ran.clear()
    run_recipe(recipe, say=lambda line: None)
    assert ran == []
    other = Recipe(recipe.work, recipe.real, recipe.bundle, synthetic=300, settings={"precision": "fp32"})
    run_recipe(other, say=lambda line: None)
    assert ran == [step.name for step in plan(other)][1:]


def test_dry_run_writes_nothing(recipe: Recipe) -> None:
    before = sorted(recipe.work.rglob("*"))
    lines: list[str] = []
    assert run_recipe(recipe, say=lines.append, dry_run=True) is None
    assert len(lines) == 12 and sorted(recipe.work.rglob("*")) == before


def test_failed_command_says_where_its_output_is(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = Step("synthesize", (sys.executable, "-c", "print('out of disk'); raise SystemExit(3)"))
    monkeypatch.setattr(module, "plan", lambda recipe: [failing, Step("average", ("false",), AFTER)])
    with pytest.raises(RuntimeError, match=r"synthesize ended with code 3; .*synthesize\.log"):
        run_recipe(recipe, say=lambda line: None)
    assert "out of disk" in (recipe.work / "logs" / "synthesize.log").read_text(encoding="utf-8")
    assert not (recipe.work / "done" / "synthesize.json").exists()


def test_folds_run_side_by_side_and_share_the_cores(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    both = threading.Barrier(2, timeout=20)  # broken unless two folds are in the same step at once
    ran: list[tuple[str, int]] = []

    def call(step: Step, log: Path, together: int) -> float:
        if step.name.startswith("finetune"):
            both.wait()
        ran.append((step.name, together))
        return 1.0

    monkeypatch.setattr(module, "_call", call)
    monkeypatch.setattr(module, "score_recipe", lambda recipe: None)
    run_recipe(recipe, say=lambda line: None, jobs=2)
    names = [name for name, _ in ran]
    assert names[:3] == ["synthesize", "pretrain", "inference pretrained"] and names[-1] == "average"
    for fold in ("fold_0", "fold_1"):
        its = [name for name in names if fold in name]
        assert its == [f"finetune {fold}", f"inference {fold}_finetuned", f"midway {fold}", f"inference {fold}"]
    assert {together for name, together in ran if "fold" in name} == {2}
    assert {together for name, together in ran if "fold" not in name} == {1}


def test_a_fold_that_fails_stops_those_that_wait_and_keeps_what_is_done(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def call(step: Step, log: Path, together: int) -> float:
        ran.append(step.name)
        if step.name == "finetune fold_0":
            raise RuntimeError("finetune fold_0 ended with code 1")
        return 1.0

    monkeypatch.setattr(module, "_call", call)
    with pytest.raises(RuntimeError, match="fold_0 ended"):
        run_recipe(recipe, say=lambda line: None)
    assert ran[-1] == "finetune fold_0" and (recipe.work / "done" / "pretrain.json").is_file()
    assert not (recipe.work / "done" / "finetune_fold_0.json").exists()


def test_a_command_gets_its_share_of_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 12)
    step = Step("say", (sys.executable, "-c", "import os; print(os.environ.get('OMP_NUM_THREADS'))"))
    module._call(step, tmp_path / "a.log")
    module._call(step, tmp_path / "b.log", 4)
    assert [(tmp_path / f"{name}.log").read_text(encoding="utf-8").strip() for name in "ab"] == ["None", "3"]


def test_real_films_without_folds_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"datalist \.\.\. --folds 4"):
        plan(Recipe(recipe.work, tmp_path, recipe.bundle))


def test_settings_reach_the_training_that_they_are_meant_for_and_inference_where_it_needs_them(recipe: Recipe) -> None:
    settings = {"spatial_size": "[96,160]", "pretrain.max_epochs": "24", "finetune.learning_rate": "1e-4"}
    steps = {step.name: step for step in plan(Recipe(recipe.work, recipe.real, recipe.bundle, settings=settings))}
    assert option(steps["pretrain"], "max_epochs") == "24" and "--learning_rate" not in steps["pretrain"].command
    fold = steps["finetune fold_0"]
    assert option(fold, "learning_rate") == "1e-4" and "--max_epochs" not in fold.command
    for name in ("pretrain", "finetune fold_0", "inference pretrained", "inference fold_1"):
        assert option(steps[name], "spatial_size") == "[96,160]"
    assert "--max_epochs" not in steps["inference pretrained"].command


def test_coarse_training_and_overlays_come_in_front_and_behind(recipe: Recipe) -> None:
    settings = {"coarse.spatial_size": "[48,80]", "coarse.max_epochs": "20", "pretrain.max_epochs": "9", "seed": "3"}
    start, overlays = recipe.work / "start.pt", ("finest_head",)
    (recipe.bundle / "configs").mkdir(parents=True)
    (recipe.bundle / "configs" / "finest_head.json").write_text("{}", encoding="utf-8")
    what = Recipe(recipe.work, recipe.real, recipe.bundle, init_weights=start, settings=settings, overlays=overlays)
    steps = {step.name: step for step in plan(what)}
    assert list(steps)[:4] == ["synthesize", "coarse", "pretrain", "inference pretrained"]
    coarse, pretrain = steps["coarse"], steps["pretrain"]
    assert option(coarse, "init_weights") == str(start)
    assert option(pretrain, "init_weights") == str(recipe.work / "coarse" / "best.pt")
    assert (option(coarse, "spatial_size"), option(coarse, "max_epochs")) == ("[48,80]", "20")
    assert option(pretrain, "max_epochs") == "9" and "--spatial_size" not in pretrain.command
    assert "--spatial_size" not in steps["inference pretrained"].command
    for name in ("coarse", "pretrain", "finetune fold_0"):
        configs = option(steps[name], "config_file")
        assert configs.endswith("finest_head.json']") and "train.json" in configs and option(steps[name], "seed") == "3"
    assert "finest_head" not in option(steps["inference fold_0"], "config_file")


def test_overlay_that_the_bundle_lacks_is_refused_before_anything_runs(recipe: Recipe) -> None:
    with pytest.raises(FileNotFoundError, match=r"finest_heads\.json: no such overlay"):
        plan(Recipe(recipe.work, recipe.real, recipe.bundle, overlays=("finest_heads",)))
