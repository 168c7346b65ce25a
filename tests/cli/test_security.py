"""What must not get out, what must not get in, and that nothing is asked of a network: two commands in one process
without a network, on films whose headers and names identify a patient or try to give orders.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from cmnet_monai.io import write_dx

SECRETS = {
    "PatientName": "Doeheader^Janeheader",
    "PatientID": "PID-SECRET-4711",
    "AccessionNumber": "ACCSECRET0815",
    "InstitutionName": "Secret Hospital",
    "ReferringPhysicianName": "Secretphysician^A",
    "StudyDescription": "secret study",
    "PatientComments": "secret comment",
    # Values that pydicom warns about, quoting them.
    "PatientBirthDate": "SECRETBIRTH",
    "PatientAge": "SECR",
}
ORDERS = {
    "PatientName": "=HYPERLINK(0)^../../up",
    "PatientID": "<script>alert(1)</script>",
    "StudyDescription": "\x1b[2J\x1b]0;owned\x07",
    "PatientOrientation": ["=cmd|x", "../../up"],
    "SeriesDescription": "<img src=x onerror=alert(1)>",
}
IDENTIFYING_NAME = "Doefile_Janefile_1970"
ORDERING_NAME = "=cmd\x1b[31m<script>alert(2)<x>\n\u202e"
"""No slash: no file system has it. Whatever else a name can do to a terminal, a table or a page."""

CHILD = """
import os, socket, sys, traceback
def refused(*arguments, **more):
    with open(os.environ["CALLS"], "a") as calls:
        traceback.print_stack(file=calls)
    raise OSError("there is no network")
connect = socket.socket.connect
def local_only(self, address):
    return connect(self, address) if self.family == socket.AF_UNIX else refused()
socket.socket.connect = socket.socket.connect_ex = local_only
socket.getaddrinfo = socket.gethostbyname = socket.create_connection = refused
from cmnet_monai.cli.main import main
codes = []
private, hostile, outputs, bundle, root = sys.argv[1:6]
common = ["--workers", "1", "--bundle", bundle]
anonymous = ["--anonymous-names", "--dicom-seg", "--dicom-sr", "--dicom-flagged", "--seg-nrrd"]
for films, name, more in ((private, "private", anonymous), (hostile, "hostile", [])):
    sys.argv = ["cmnet-monai", "predict", films, "-o", os.path.join(outputs, name), *common, *more]
    try:
        main()
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code)
from monai.bundle import run
run(config_file=bundle + "/configs/inference.json", bundle_root=bundle, dataset_dir=private, passes=1, mirror=False,
    output_dir=os.path.join(outputs, "bundle"), device="cpu", logging_file=bundle + "/configs/logging.conf")
print("codes", codes)
"""


def film(path: Path, seed: int, **entries: Any) -> None:
    pixels = np.random.default_rng(seed).integers(100, 900, (221, 343)).astype(np.uint16)
    for n in range(5):
        pixels[60 + 8 * n : 110 + 8 * n, 25 + 60 * n : 62 + 60 * n] = 4000
    write_dx(path, pixels, bits_stored=12, imager_spacing_xy_mm=(0.2, 0.3))
    dataset = pydicom.dcmread(path)
    with pydicom.config.disable_value_validation():
        for keyword, value in entries.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The folder of the commands' outputs; what they printed is in ``printed``, attempts to connect in ``calls``."""
    root = tmp_path_factory.mktemp("security")
    private, hostile, outputs = (root / name for name in ("private", "hostile", "outputs"))
    for folder in (private, hostile, outputs):
        folder.mkdir()
    film(private / f"{IDENTIFYING_NAME}.dcm", 0, **SECRETS)
    whole = (private / f"{IDENTIFYING_NAME}.dcm").read_bytes()
    (private / f"{IDENTIFYING_NAME}_cut.dcm").write_bytes(whole[: len(whole) // 2])
    film(hostile / f"{ORDERING_NAME}.dcm", 2, **ORDERS)
    (hostile / f"{ORDERING_NAME}bad.dcm").write_bytes(whole[:900])
    environment = {
        **os.environ,
        "CALLS": str(root / "calls"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONWARNINGS": "default",
    }
    arguments = [str(private), str(hostile), str(outputs), str(repository / "bundle"), str(root)]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], env=environment, capture_output=True, cwd=repository, timeout=600
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0 and b"codes [3, 3]" in printed, printed.decode(errors="replace")[-4000:]
    (root / "printed").write_bytes(printed)
    return root


def content(file: Path) -> bytes:
    data = file.read_bytes()
    return gzip.decompress(data) if file.suffix == ".gz" else data


def files_of(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def test_nothing_is_asked_of_a_network(done: Path) -> None:
    assert not (done / "calls").exists(), (done / "calls").read_text()
    assert json.loads((done / "outputs" / "private" / "manifest.json").read_text())["counts"]["done"] == 1
    assert json.loads((done / "outputs" / "bundle" / "manifest.json").read_text())["counts"]["done"] == 1


@pytest.mark.parametrize("run", ["private", "bundle"])
def test_header_identifies_no_one_in_what_is_written(done: Path, run: str) -> None:
    words = [word for text in SECRETS.values() for word in text.replace("^", " ").split() if len(word) > 5]
    words += ["SECR", "Secret"]
    files = [file for file in files_of(done / "outputs" / run) if not file.name.endswith(("_seg.dcm", "_sr.dcm"))]
    assert len(files) >= 6
    for file in files:
        found = [word for word in words if word.encode() in content(file) or word in file.name]
        assert not found, f"{file.name} holds {found}"


def test_header_and_file_name_identify_no_one_in_what_is_printed(done: Path) -> None:
    printed = (done / "printed").read_bytes()
    anonymous = printed[: printed.index(b"outputs/private")]
    for text in (*SECRETS.values(), "SECRET", "Doeheader"):
        assert text.encode() not in printed, text
    assert b"cut" not in anonymous and b"Doefile" not in anonymous


def test_anonymous_outputs_show_nothing_of_the_files_name(done: Path) -> None:
    files = files_of(done / "outputs" / "private")
    holders = [f.name for f in files if b"Doefile" in content(f) or b"Janefile" in content(f) or "Doefile" in f.name]
    assert holders == ["manifest.json"]


def test_dicom_objects_keep_the_patient_and_no_more_of_the_header(done: Path) -> None:
    objects = [file for file in files_of(done / "outputs" / "private") if file.suffix == ".dcm"]
    assert objects
    for file in objects:
        found = pydicom.dcmread(file)
        assert (found.PatientName, found.PatientID) == (SECRETS["PatientName"], SECRETS["PatientID"])
        data = file.read_bytes()
        assert SECRETS["StudyDescription"].encode() in data  # of the study module, docs/dicom.md
        assert SECRETS["InstitutionName"].encode() not in data


def test_names_and_headers_lead_no_file_out_of_its_folder(done: Path) -> None:
    folder = done / "outputs" / "hostile"
    assert {file.parent for file in files_of(folder)} == {folder}
    assert {entry.name for entry in done.iterdir()} == {"private", "hostile", "outputs", "printed"}
    names = [file.name for file in files_of(folder)]
    assert any(name.endswith("_mask.png") for name in names)
    assert not [name for name in names if any(c in name for c in "\x1b\n<>\u202e")]


def test_terminal_gets_no_orders(done: Path) -> None:
    printed = (done / "printed").read_text(encoding="utf-8")
    assert "\x1b" not in printed and "\u202e" not in printed and "\x07" not in printed
    assert "=cmd?[31m<script>" in printed  # it is named all the same


def test_tables_hold_no_formula_and_no_broken_line(done: Path) -> None:
    tables = [file for file in files_of(done / "outputs") if file.suffix == ".csv"]
    cells = []
    for file in tables:
        with file.open(newline="", encoding="utf-8") as stream:
            cells += [cell for row in csv.reader(stream) for cell in row]
    named = [cell for cell in cells if "cmd" in cell]
    assert len(named) >= 3 and all(cell.startswith("'=cmd?[31m") for cell in named)
    for cell in cells:
        assert not cell or (cell[0] not in "=+@\t\r" and (cell[0] != "-" or float(cell) < 0))
        assert cell.isprintable()


def test_page_runs_nothing_that_a_name_brings_along(done: Path) -> None:
    page = (done / "outputs" / "hostile" / "report.html").read_text(encoding="utf-8")
    assert page.count("<script>") == 1 and "&lt;script&gt;alert(2)" in page
    assert "onerror" not in page and "\x1b" not in page
