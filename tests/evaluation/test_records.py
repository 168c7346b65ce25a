from __future__ import annotations

from pathlib import Path

from cmnet_monai.evaluation.records import commit, data_hash, identity_of


def test_data_hash_follows_contents_not_names(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"2"), ("c", b"1")):
        (tmp_path / name).write_bytes(content)

    def of(*names: str) -> str:
        return data_hash({"image": str(tmp_path / name), "label": str(tmp_path / "b")} for name in names)

    assert of("a") == of("c") != of("b")
    assert of("a", "b") != of("b", "a")


def test_identity_is_that_of_equal_values() -> None:
    assert (
        identity_of({"a": 1, "b": (1, 2)}) == identity_of({"b": [1, 2], "a": 1}) != identity_of({"a": 1, "b": [2, 1]})
    )


def test_commit_is_a_hash_or_a_version() -> None:
    found = commit().rstrip("+")
    assert found.startswith("version ") or (len(found) >= 12 and int(found, 16) >= 0)
