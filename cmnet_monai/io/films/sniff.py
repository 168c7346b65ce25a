"""What kind of file it is, by its content and never by its name."""

from __future__ import annotations

from pathlib import Path

DICOM = "dicom"
RASTER = "raster"
NIFTI = "nifti"

_RASTER_MAGIC = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",  # JPEG
    b"II*\0",  # TIFF, BigTIFF
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"BM",
)
_NAMED = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture or an AVI video",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"<?xml": "an XML document",
    b"<!DOCTYPE": "a web page",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"\x1a\x45\xdf\xa3": "a video",
    b"\0\0\x01\xba": "a video",
    b"{": "a JSON document",
}


def file_kind(path: Path) -> str:
    """One of `DICOM`, `RASTER`, `NIFTI`, or a description of something else (with an article)."""
    with path.open("rb") as file:
        head = file.read(352)
    if not head:
        return "an empty file"
    if head[128:132] == b"DICM":  # before the others: a preamble may hold another format's magic
        return DICOM
    if head.startswith(_RASTER_MAGIC):
        return RASTER
    if _is_nifti(head, path):
        return NIFTI
    if head[4:8] == b"ftyp":
        return "a video"
    for magic, name in _NAMED.items():
        if head.startswith(magic):
            return name
    if _starts_with_dicom_element(head):
        return DICOM
    return "an unknown kind of file"


def _is_nifti(head: bytes, path: Path) -> bool:
    if head.startswith(b"\x1f\x8b"):
        import gzip
        import zlib

        try:
            with gzip.open(path) as file:
                head = file.read(352)
        except (OSError, EOFError, zlib.error):
            # A broken archive under a NIfTI name gets NIfTI's own message.
            return path.name.lower().endswith((".nii.gz", ".hdr.gz"))
    return head[344:347] in (b"n+1", b"ni1") or head[4:8] in (b"n+2\0", b"ni2\0")


def _starts_with_dicom_element(head: bytes) -> bool:
    """A data set without preamble starts with a low element of group 2 or 8, in either byte order."""
    if len(head) < 8:
        return False
    for order in ("little", "big"):
        group = int.from_bytes(head[:2], order)
        element = int.from_bytes(head[2:4], order)
        if group in (0x0002, 0x0008) and element <= 0x0018:
            return True
    return False
