"""CM-Net for lateral lumbar radiographs: reader, transforms, networks, losses and workflows on MONAI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmnet_monai._version import __version__

if TYPE_CHECKING:
    from cmnet_monai.film_result import FilmResult
    from cmnet_monai.segmenter import FilmSegmenter

__all__ = ["FilmResult", "FilmSegmenter", "__version__"]


def __getattr__(name: str) -> Any:
    """Import on first use: a command's help must not wait for torch."""
    if name == "FilmResult":
        from cmnet_monai.film_result import FilmResult

        return FilmResult
    if name == "FilmSegmenter":
        from cmnet_monai.segmenter import FilmSegmenter

        return FilmSegmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
