from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from cmnet_monai.io.files.checksums import checked_sha256, recorded_sha256, write_sha256


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


def test_record_is_that_of_sha256sum(weights: Path) -> None:
    record = write_sha256(weights)
    digest = hashlib.sha256(b"weights").hexdigest()
    assert record.name == "model.pt.sha256" and record.read_text() == f"{digest}  model.pt\n"
    assert recorded_sha256(weights) == checked_sha256(weights) == digest
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "--check", record.name], cwd=weights.parent, check=True, capture_output=True)


def test_exchanged_or_damaged_file_is_refused(weights: Path) -> None:
    write_sha256(weights)
    weights.write_bytes(b"others")
    with pytest.raises(ValueError, match=r"model\.pt: its SHA-256 begins with .*damaged or was exchanged"):
        checked_sha256(weights)


def test_file_without_a_record_is_taken_as_it_is(weights: Path) -> None:
    assert checked_sha256(weights) == hashlib.sha256(b"weights").hexdigest() and recorded_sha256(weights) == ""


@pytest.mark.parametrize("text", ["", "abc", "g" * 64, "0" * 63, "0" * 65])
def test_record_without_a_number_is_an_error_and_not_no_record(weights: Path, text: str) -> None:
    Path(f"{weights}.sha256").write_text(text)
    with pytest.raises(ValueError, match="no SHA-256 in it"):
        checked_sha256(weights)


def test_bare_number_in_capitals_will_do(weights: Path) -> None:
    Path(f"{weights}.sha256").write_text(hashlib.sha256(b"weights").hexdigest().upper())
    assert checked_sha256(weights)


def test_missing_file_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        checked_sha256(tmp_path / "none.pt")
    assert checked_sha256("") == recorded_sha256("") == ""
