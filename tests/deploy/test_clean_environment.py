"""What leaves this project, in new virtual environments; takes minutes and needs a package index.

pytest -m slow -s tests/deploy/test_clean_environment.py
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from cmnet_monai import __version__
from cmnet_monai.deploy import BUNDLE_NAME, package_bundle

pytestmark = pytest.mark.slow
MINUTE = 60
CONFIGS = ("--meta_file", "configs/metadata.json", "--config_file", "configs/inference.json")
SCHEMA_MD5 = "06954cad2cc5d3784e72077ac76f0fc8"
Run = Callable[..., str]


def runner(folder: Path) -> Run:
    """Make an environment; returns what runs its Python in a working directory, and gives what that printed."""
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    kept |= {"PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(*arguments: object, cwd: Path = folder, **variables: str) -> str:
        command = [str(scripts / "python"), *map(str, arguments)]
        environment = {**kept, "PATH": f"{scripts}{os.pathsep}{kept.get('PATH', '')}", **variables}
        limit = 40 * MINUTE
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=limit)
        print(f"{done.returncode} {' '.join(command[1:])}"[:200])
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def without_package(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Run:
    """An environment with MONAI and what the bundle's metadata name, and nothing of this project."""
    run = runner(tmp_path_factory.mktemp("without") / "venv")
    metadata = json.loads((repository / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    needed = {"monai": metadata["monai_version"], "torch": metadata["pytorch_version"]}
    needed |= {"numpy": metadata["numpy_version"], **metadata["required_packages_version"]}
    run("-m", "pip", "install", "-q", *(f"{name}=={version}" for name, version in needed.items()))
    found = run("-c", "import importlib.util as u; print('found', u.find_spec('cmnet_monai'))")
    assert found.splitlines()[-1] == "found None"
    return run


@pytest.mark.skipif(sys.version_info < (3, 11), reason="metadata.json states versions for Python 3.11 and later")
def test_archive_needs_monai_and_the_packages_that_it_names(
    without_package: Run, repository: Path, dataset: Path, tmp_path: Path
) -> None:
    def monai(verb: str, *options: object, **variables: str) -> str:
        return without_package("-m", "monai.bundle", verb, *options, cwd=where, **variables)

    where, archive = tmp_path, tmp_path / "made" / "any_name.zip"
    package_bundle(archive, repository / "bundle", say=print)
    monai("download", "--name", BUNDLE_NAME, "--url", archive.as_uri(), "--bundle_dir", tmp_path)
    root = where = tmp_path / BUNDLE_NAME

    out, overlays = tmp_path / "out", "['configs/train.json','configs/{}.json']"
    monai("run", "--config_file", "configs/inference.json", "--dataset_dir", dataset / "films", "--output_dir", out)
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["counts"]["done"] == 5
    evaluation = ("--dataset_dir", dataset, "--output_dir", tmp_path / "eval")
    monai("run", "--config_file", overlays.format("evaluate"), *evaluation)
    metrics = dict(line.split(",") for line in (tmp_path / "eval" / "metrics.csv").read_text().splitlines())
    assert float(metrics["test_dice"]) > 0.8

    tuned = ("--init_weights", "models/model.pt", "--output_dir", tmp_path / "run", "--dataset_dir", dataset)
    small = ("--max_epochs", 1, "--val_interval", 1, "--epoch_length", 2, "--batch_size", 2, "--num_workers", 0)
    overlay = overlays.format("pretrain.json','configs/finetune")
    monai("run", "--config_file", overlay, *tuned, *small, "--shares", "[1.0]")
    export = ("--filepath", tmp_path / "tuned.ts", "--ckpt_file", tmp_path / "run" / "best.pt")
    monai("ckpt_export", "--net_id", "network_def", *export, *CONFIGS)
    assert "no error" in monai("verify_net_in_out", "--net_id", "network_def", *CONFIGS)

    where = tmp_path / "elsewhere"
    where.mkdir()
    script = (
        "from monai.bundle import load\n"
        f"place = dict(name={BUNDLE_NAME!r}, bundle_dir={str(tmp_path)!r}, device='cpu')\n"
        "network = load(**place, workflow_type='inference').eval()\n"
        "program, metadata, _ = load(**place, load_ts_module=True)\n"
        "import torch\nfilm = torch.rand(2, 1, 64, 96)\n"
        "with torch.no_grad():\n    difference = (network(film) - program.eval()(film)).abs().max().item()\n"
        "print('difference', difference, metadata['version'])"
    )
    last = without_package("-c", script, cwd=where, PYTHONPATH=str(root)).splitlines()[-1].split()
    assert float(last[1]) < 1e-4 and last[2] == __version__
    assert not list(where.iterdir())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="metadata.json states versions for Python 3.11 and later")
def test_metadata_of_the_archive_follow_monais_schema(
    without_package: Run, shared_data: Path, repository: Path, tmp_path: Path
) -> None:
    schema = shared_data.parent / "schema" / "meta_schema_20240725.json"
    if not schema.is_file():
        pytest.skip("needs MONAI's schema, which is not part of the project")
    copied = shutil.copy(schema, tmp_path / "schema.json")
    options = ("--meta_file", repository / "bundle" / "configs" / "metadata.json", "--filepath", copied)
    without_package("-m", "pip", "install", "-q", "-c", repository / "constraints.txt", "jsonschema")
    done = without_package("-m", "monai.bundle", "verify_metadata", *options, "--hash_val", SCHEMA_MD5)
    assert "verified with no error" in done


def test_wheel_and_sdist_install_and_run(repository: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    unwanted = shutil.ignore_patterns(".git", "build", "dist", "*.egg-info", ".*_cache", "__pycache__", "runs")
    shutil.copytree(repository, source, ignore=unwanted)
    run = runner(tmp_path / "venv")
    run("-m", "pip", "install", "-q", "build")
    run("-m", "build", "--outdir", tmp_path / "dist", source)
    (wheel,), (sdist,) = ((tmp_path / "dist").glob(pattern) for pattern in ("*.whl", "*.tar.gz"))
    constraints = ("-c", repository / "constraints.txt")
    run("-m", "pip", "install", "-q", *constraints, wheel)
    assert "No broken requirements" in run("-m", "pip", "check")
    assert " 5/5 " in run("-m", "cmnet_monai.cli.main", "demo", "-o", tmp_path / "demo", cwd=tmp_path)
    assert json.loads((tmp_path / "demo" / "demo.json").read_text(encoding="utf-8"))["films"][0]["dice"] > 0.8
    run("-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", sdist)
    assert "No broken requirements" in run("-m", "pip", "check")
    assert __version__ in run("-m", "cmnet_monai.cli.main", "--version", cwd=tmp_path)
    bundle = Path(run("-m", "cmnet_monai.cli.main", "bundle", cwd=tmp_path).splitlines()[-1])
    assert bundle.is_relative_to(tmp_path / "venv")
    assert (bundle / "models" / "model.pt").read_bytes() == (repository / "bundle" / "models" / "model.pt").read_bytes()
