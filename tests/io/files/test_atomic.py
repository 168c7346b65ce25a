from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys

import pytest

from cmnet_monai.io import TEMPORARY_PREFIX, OutputError, atomic_write, remove_leftovers


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


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_place_that_takes_no_files_is_named_in_one_line(number, tmp_path):
    with pytest.raises(OutputError) as caught, atomic_write(tmp_path / "mask.png") as temporary:
        temporary.write_bytes(b"half")
        raise OSError(number, os.strerror(number), str(temporary))
    assert str(tmp_path) in str(caught.value) and os.strerror(number) in str(caught.value)
    assert TEMPORARY_PREFIX not in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.folder, again.reason) == (str(caught.value), str(tmp_path), os.strerror(number))


def test_other_errors_stay_what_they_are(tmp_path):
    for error in (FileNotFoundError(errno.ENOENT, "none"), OSError("a codec's own"), RuntimeError("inside")):
        with pytest.raises(type(error)) as caught, atomic_write(tmp_path / "mask.png"):
            raise error
        assert caught.value is error


def test_a_file_in_the_folders_place_is_named(tmp_path):
    (tmp_path / "out").touch()
    with pytest.raises(OutputError, match="out"), atomic_write(tmp_path / "out" / "mask.png"):
        pass


def test_leftovers_of_some_age_are_removed_and_nothing_else(tmp_path):
    for name in (f"{TEMPORARY_PREFIX}old.png", f"{TEMPORARY_PREFIX}young.png", "mask.png"):
        (tmp_path / name).touch()
    for name in (f"{TEMPORARY_PREFIX}old.png", "mask.png"):
        os.utime(tmp_path / name, (1, 1))
    assert remove_leftovers(tmp_path) == 1
    assert {file.name for file in tmp_path.iterdir()} == {f"{TEMPORARY_PREFIX}young.png", "mask.png"}
