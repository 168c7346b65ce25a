from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from cmnet_monai.io import TEMPORARY_PREFIX, atomic_write


def test_the_file_appears_whole_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "deep" / "mask.nii.gz"
    with atomic_write(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.startswith(TEMPORARY_PREFIX) and temporary.name.endswith(".nii.gz")
        temporary.write_bytes(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["mask.nii.gz"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_keeps_the_old_file_and_removes_the_new_one(error, tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["mask.png"]


def test_an_empty_hand_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "mask.png"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "suffix"), [("a.b.nii.gz", ".nii.gz"), ("a.dcm", ".dcm"), ("a", ""), ("1.2.840.1", ".1"), ("x.pt", ".pt")]
)
def test_the_suffix_is_kept(name, suffix, tmp_path):
    with atomic_write(tmp_path / name) as temporary:
        assert temporary.name.removeprefix(TEMPORARY_PREFIX)[16:] == suffix
        temporary.touch()


@pytest.mark.skipif(os.name != "posix", reason="file modes of POSIX")
def test_the_users_file_mode_is_respected(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_write(tmp_path / "atomic") as temporary:
        temporary.touch()
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_kill_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"old")
    code = (
        "import sys, time\nfrom cmnet_monai.io import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half'); print('ready', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_bytes() == b"old"
    leftovers = [p.name for p in tmp_path.iterdir() if p != path]
    assert all(name.startswith(TEMPORARY_PREFIX) for name in leftovers)
