"""The archive: what is in it, that it is the same every time, and that its own code reads its own weights."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.data import load_net_with_metadata

from cmnet_monai.deploy import BUNDLE_NAME, package_bundle
from cmnet_monai.engines import WeightsRecord, write_weights_record
from cmnet_monai.io.files.calibration import read_calibration
from cmnet_monai.networks import CMNet

SAME_KERNELS = 1e-5  # float32 sums in another order, logits of order 1


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def archive(make_bundle: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    package_bundle(folder / "one.zip", make_bundle(folder / "bundle"), say=quiet)
    return folder / "one.zip"


@pytest.fixture(scope="module")
def unpacked(archive: Path) -> Path:
    with zipfile.ZipFile(archive) as content:
        content.extractall(archive.parent / "unpacked")
    return archive.parent / "unpacked" / BUNDLE_NAME


def test_archive_is_the_same_byte_for_byte_from_another_place(
    archive: Path, make_bundle: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    bundle = make_bundle(tmp_path / "another" / "place")
    (bundle / "models" / "model_old.pt").write_bytes(b"left over")
    (bundle / "runs").mkdir()
    (bundle / "runs" / "settings.json").write_text("{}", encoding="utf-8")
    for file in bundle.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    digest = package_bundle(tmp_path / "two.zip", bundle, say=quiet)
    assert digest == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert (tmp_path / "two.zip").read_bytes() == archive.read_bytes()


def test_archive_holds_the_bundle_all_code_and_sums_of_everything(unpacked: Path, repository: Path) -> None:
    files = {file.relative_to(unpacked).as_posix() for file in unpacked.rglob("*") if file.is_file()}
    package = [file for file in (repository / "cmnet_monai").rglob("*") if file.is_file() and file.suffix != ".pyc"]
    code = {file.relative_to(repository).as_posix() for file in package}
    configs = {f"configs/{file.name}" for file in (repository / "bundle" / "configs").iterdir()}
    card = {"LICENSE", "docs/README.md", "docs/demo.jpg", "docs/data_license.txt", "models/model.pt", "models/model.ts"}
    card |= {"models/model.json", "models/calibration.json", "SHA256SUMS"}
    assert files == code | configs | card and "cmnet_monai/decode/naming_model.json" in code
    sums = dict(line.split("  ")[::-1] for line in (unpacked / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == files - {"SHA256SUMS"}
    for name, digest in sums.items():
        assert hashlib.sha256((unpacked / name).read_bytes()).hexdigest() == digest, name
    metadata = json.loads((unpacked / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["weights_sha256"] == {name: sums[name] for name in ("models/model.pt", "models/model.ts")}
    assert metadata["torchscript_made_with"]["torch"] == torch.__version__
    for digest in metadata["weights_sha256"].values():  # the network's calibration counts for both its formats
        assert read_calibration(unpacked / "models" / "calibration.json", digest, {"mirror": True})["intercept"] == 1.5


def test_torchscript_equals_the_eager_network_and_names_no_place(unpacked: Path, repository: Path) -> None:
    eager = CMNet(base_channels=8, s1_channel=True, lumbar_channel=True).eval()
    eager.load_state_dict(torch.load(unpacked / "models" / "model.pt", weights_only=True))
    scripted, metadata, extra = load_net_with_metadata(
        unpacked / "models" / "model.ts", more_extra_files=["inference.json"]
    )
    assert metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 4
    assert json.loads(extra["inference.json"])["base_channels"] == 8
    with torch.no_grad():
        for shape in ((2, 1, 37, 61), (1, 2, 64, 96)):
            film = torch.rand(shape, generator=torch.Generator().manual_seed(1))
            assert (scripted(film) - eager(film)).abs().max() < SAME_KERNELS
    with zipfile.ZipFile(unpacked / "models" / "model.ts") as content:
        for name in content.namelist():
            assert str(repository).encode() not in content.read(name), name
            assert not name.endswith("debug_pkl")


LOAD = """
import sys
from pathlib import Path
import cmnet_monai
from cmnet_monai.bundle_location import bundle_root
from monai.bundle import load
root = Path(sys.argv[1])
assert Path(cmnet_monai.__file__).is_relative_to(root), cmnet_monai.__file__
assert bundle_root() == root
network = load(root.name, bundle_dir=root.parent, workflow_type="inference", device="cpu")
print(type(network).__module__, len(network.state_dict()))
"""


def test_archives_own_code_is_found_first_and_loads_the_network(unpacked: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(unpacked), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOAD, str(unpacked)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1].startswith("cmnet_monai.networks.cmnet ")
    assert not list(tmp_path.iterdir())


def test_other_weights_take_the_place_of_the_bundles(
    make_bundle: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_export(bundle: Path, output: Path) -> None:
        Path(output).write_bytes(b"")

    monkeypatch.setattr("cmnet_monai.deploy.artifact.export_torchscript", no_export)
    bundle = make_bundle(tmp_path / "bundle")
    trained = {name: value.float() + 1 for name, value in torch.load(bundle / "models" / "model.pt").items()}
    torch.save({"epoch": 3, "network": trained}, tmp_path / "last.pt")
    settings = WeightsRecord((96, 192), "levels", base_channels=8, heatmap_sigma=4.0)
    write_weights_record(tmp_path / "last.pt", settings)
    digests = [package_bundle(tmp_path / f"{n}.zip", bundle, tmp_path / "last.pt", quiet) for n in range(2)]
    assert digests[0] == digests[1]
    with zipfile.ZipFile(tmp_path / "0.zip") as content:
        content.extract(f"{BUNDLE_NAME}/models/model.pt", tmp_path)
    packed = torch.load(tmp_path / BUNDLE_NAME / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(packed[name], value.half()) for name, value in trained.items())
    with zipfile.ZipFile(
        tmp_path / "0.zip"
    ) as content:  # with their record; the bundle's calibration is not that of these weights
        assert json.loads(content.read(f"{BUNDLE_NAME}/models/model.json"))["spatial_size"] == [96, 192]
        assert f"{BUNDLE_NAME}/models/calibration.json" not in content.namelist()
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt: no weights there"):
        package_bundle(tmp_path / "x.zip", bundle, tmp_path / "nothing.pt", quiet)
    assert not (tmp_path / "x.zip").exists()


def test_what_cannot_be_packaged_says_why(tmp_path: Path, make_bundle: Callable[[Path], Path]) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    with pytest.raises(ValueError, match=r"the archive is a \.zip"):
        package_bundle(tmp_path / "x.tar", bundle, say=quiet)
    (bundle / "models" / "model.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.pt: no weights there"):
        package_bundle(tmp_path / "x.zip", bundle, say=quiet)


def test_model_card_links_to_nothing_outside_the_bundle(repository: Path) -> None:
    for page in (repository / "bundle" / "docs").glob("*.md"):
        assert "](../.." not in page.read_text(encoding="utf-8"), page
