"""Files that are no readable film, each with words of the reason it is refused with."""

from __future__ import annotations

import gzip
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless
from raw_dicom import write_raw_dicom

FILM = np.random.default_rng(3).integers(0, 4096, (41, 29)).astype(np.uint16)  # rows, columns
GREY8 = (FILM >> 4).astype(np.uint8)
TWELVE = {"BitsStored": 12, "HighBit": 11}
_SR, _PDF = "1.2.840.10008.5.1.4.1.1.88.33", "1.2.840.10008.5.1.4.1.1.104.1"
_ENDOSCOPY, _XA = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.5.1.4.1.1.12.1"
_SEG = "1.2.840.10008.5.1.4.1.1.66.4"
_DIRECTORY = "1.2.840.10008.1.3.10"
_NO_IMAGE = {"PixelData": None, "Rows": None, "Columns": None}

Maker = Callable[[Path], object]
"""Makes the file at the path it is given."""


def _bytes(data: bytes) -> Maker:
    return lambda path: path.write_bytes(data)


def _dicom(stored: np.ndarray = FILM, **how: object) -> Maker:
    return lambda path: write_raw_dicom(path, stored, **how)


def _picture(array: np.ndarray, form: str, **options: object) -> Maker:
    return lambda path: Image.fromarray(array).save(path, format=form, **options)


def _nifti(values: np.ndarray) -> Maker:
    return lambda path: path.write_bytes(nibabel.Nifti1Image(values, np.eye(4)).to_bytes())


def _cut(make: Maker, part: float) -> Maker:
    def cut(path: Path) -> None:
        make(path)
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])

    return cut


def _replaced(make: Maker, old: bytes, new: bytes) -> Maker:
    """The file with some bytes exchanged, as a broken writer would have made it."""

    def replaced(path: Path) -> None:
        make(path)
        data = path.read_bytes()
        assert data.count(old) == 1, "the bytes to exchange are not there, or not unique"
        path.write_bytes(data.replace(old, new))

    return replaced


def _damaged_run_lengths(path: Path) -> None:
    """Run-length coded pixel data whose header announces no segment."""
    dataset = dcmread(write_raw_dicom(path, FILM))
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.PixelData = encapsulate([bytes(80)])
    dataset.save_as(path)


def _png_of_zeros(width: int, height: int) -> Maker:
    """A black PNG whose rows are really there: 1 bit a pixel, a thousandth of it on disk."""

    def make(path: Path) -> None:
        packer = zlib.compressobj(1)
        row = bytes(1 + (width + 7) // 8)
        packed = b"".join(packer.compress(row * 100) for _ in range(height // 100)) + packer.flush()
        header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
        chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
        body = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))

    return make


def _gzip_bomb(path: Path) -> None:
    """A NIfTI film of 7 x 5 pixels in 2 MB that unpack to 2 GB."""
    film = nibabel.Nifti1Image(np.zeros((7, 5), np.int16), np.eye(4)).to_bytes()
    zeros = gzip.compress(bytes(_BLOCK), 1)  # members of one file follow each other
    path.write_bytes(gzip.compress(film, 1) + zeros * (BOMB_BYTES // _BLOCK))


def _gzip_bomb_that_says_so(path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((30000, 30000))
    path.write_bytes(gzip.compress(header.binaryblock[:344] + b"n+1\0" + bytes(200), 1))


def _deflate_bomb(path: Path) -> None:
    """A deflated DICOM film behind whose pixels stands a private element of 2 GB of zeros."""
    write_raw_dicom(path, FILM, syntax=DeflatedExplicitVRLittleEndian)
    data = path.read_bytes()
    meta_end = 144 + struct.unpack("<I", data[140:144])[0]
    plain = zlib.decompress(data[meta_end:], -15)
    packer = zlib.compressobj(1, wbits=-15)
    element = struct.pack("<HH2sHI", 0x7FE1, 0x0010, b"OB", 0, BOMB_BYTES)
    packed = packer.compress(plain + element) + packer.flush(zlib.Z_FULL_FLUSH)
    # A block behind a full flush refers to nothing before it, so its bytes can be repeated.
    zeros = packer.compress(bytes(_BLOCK)) + packer.flush(zlib.Z_FULL_FLUSH)
    packed += zeros * (BOMB_BYTES // _BLOCK) + packer.flush()
    path.write_bytes(data[:meta_end] + packed + b"\0" * (len(packed) % 2))


BOMB_BYTES = 1 << 31
_BLOCK = 1 << 24

# What the file is, and words of the reason.
BAD_FILMS: dict[str, tuple[Maker, str]] = {
    # no film at all
    "zero_bytes.dcm": (_bytes(b""), "an empty file"),
    "zeros.dcm": (_bytes(bytes(5000)), "an unknown kind of file"),
    "random.dcm": (_bytes(np.random.default_rng(1).bytes(5000)), "an unknown kind of file"),
    "random_behind_preamble.dcm": (
        _bytes(bytes(128) + b"DICM" + np.random.default_rng(2).bytes(5000)),
        "parsed|no image",
    ),
    "preamble_alone.dcm": (_bytes(bytes(128) + b"DICM"), "no image"),
    "letter.dcm": (_bytes(b"Dear colleague, the film follows.\n" * 50), "an unknown kind of file"),
    "pdf_named_film.dcm": (_bytes(b"%PDF-1.7\n" + bytes(400)), "a PDF document"),
    "zip_named_film.png": (_bytes(b"PK\x03\x04" + bytes(400)), "a ZIP archive"),
    "web_page.dcm": (_bytes(b"<!DOCTYPE html><html><body>Login</body></html>" * 20), "a web page"),
    "clip.mp4": (_bytes(b"\0\0\0\x20ftypisom" + bytes(400)), "a video"),
    "clip.avi": (_bytes(b"RIFF\0\0\0\0AVI LIST" + bytes(400)), "AVI video"),
    "animation.gif": (_picture(GREY8, "GIF"), "a GIF picture"),
    # DICOM, but no radiograph
    "endoscopy_video.dcm": (_dicom(SOPClassUID=_ENDOSCOPY, NumberOfFrames=90), "Video Endoscopic"),
    "mpeg4.dcm": (
        _replaced(_dicom(SOPClassUID=_XA), b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0"),
        "no decoder knows the transfer syntax",
    ),
    "unknown_syntax.dcm": (
        _replaced(_dicom(), b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x14\x00SECRET^NAME^1.2.3.4.5"[:24]),
        "no decoder knows the transfer syntax of an unknown UID",
    ),
    "two_frames.dcm": (_dicom(np.vstack([FILM, FILM]), Rows=41, NumberOfFrames=2), "2 frames"),
    "two_pages.tif": (_picture(GREY8, "TIFF", save_all=True, append_images=[Image.fromarray(GREY8)]), "2 pictures"),
    "volume.nii": (_nifti(np.zeros((7, 5, 3), np.int16)), "a volume of shape 7x5x3"),
    "colour.dcm": (_dicom(np.stack([GREY8, GREY8.T.reshape(41, 29), GREY8], axis=-1)), "real colour"),
    "colour.png": (_picture(np.stack([GREY8, 255 - GREY8, GREY8], axis=-1), "PNG"), "real colour"),
    "cmyk.jpg": (lambda path: Image.fromarray(GREY8).convert("CMYK").save(path, format="JPEG"), "colour"),
    # cut short
    "cut_in_header.dcm": (_cut(_dicom(), 0.1), "parsed|lacks|incomplete|no image"),
    "cut_in_pixels.dcm": (_cut(_dicom(), 0.7), "less than expected"),
    "cut.png": (_cut(_picture(GREY8, "PNG"), 0.6), "cannot be decoded"),
    "cut.jpg": (_cut(_picture(GREY8, "JPEG"), 0.6), "cannot be decoded"),
    "cut.tif": (_cut(_picture(GREY8, "TIFF"), 0.6), "cannot be decoded"),
    "cut.nii": (_cut(_nifti(FILM.T.astype(np.int16)), 0.6), "NIfTI file cannot be read"),
    # too large, or larger than it looks
    "giant.dcm": (_dicom(Rows=20000, Columns=20000), "20000 x 20000 pixels, more than the limit"),
    "giant.png": (_png_of_zeros(20000, 20000), "20000 x 20000 pixels, more than the limit|absurdly large"),
    "gzip_bomb.nii.gz": (_gzip_bomb_that_says_so, "more than the limit"),
    "deflate_bomb.dcm": (_deflate_bomb, "unpacks to more than"),
    # a header that lies
    "too_many_rows.dcm": (_dicom(Rows=42), "less than expected"),
    "too_few_rows.dcm": (_dicom(Rows=20), "more pixel data than"),
    "no_rows.dcm": (_dicom(Rows=0), "29 x 0 pixels"),
    "too_many_columns.dcm": (_dicom(Columns=60), "less than expected"),
    "bits_stored_above_allocated.dcm": (_dicom(BitsStored=17, HighBit=16), "contradict each other"),
    "bits_allocated_odd.dcm": (_dicom(BitsAllocated=13, **TWELVE), "contradict"),
    "three_samples_of_grey.dcm": (_dicom(SamplesPerPixel=3), "less than expected"),
    "one_sample_of_colour.dcm": (_dicom(PhotometricInterpretation="RGB"), "decoded|samples"),
    "unknown_photometric.dcm": (_dicom(PhotometricInterpretation="SECRET^NAME"), "an unknown one"),
    "no_photometric.dcm": (_dicom(PhotometricInterpretation=None), "lacks PhotometricInterpretation"),
    "no_pixels.dcm": (_dicom(PixelData=None), "no complete pixel data"),
    "damaged_run_lengths.dcm": (_damaged_run_lengths, "cannot be decoded"),
    "rescale_to_nothing.dcm": (_dicom(RescaleSlope=0, RescaleIntercept=0), "Rescale Slope"),
    "rescale_beyond_floats.dcm": (_dicom(RescaleSlope="1e300", RescaleIntercept=0), "Rescale Slope"),
    "rows_of_words.dcm": (_replaced(_dicom(), b"\x28\0\x10\0US\x02\0\x29\0", b"\x28\0\x10\0LO\x02\0no"), "header"),
    "rows_of_wrong_length.dcm": (
        _replaced(_dicom(), b"\x28\0\x10\0US\x02\0\x29\0", b"\x28\0\x10\0US\x01\0\x29"),
        "header|parsed|damaged|lacks",
    ),
    # numbers that are none
    "nan.nii": (_nifti(np.full((29, 41), np.nan, np.float32)), "no pixel has a finite value"),
    "nan.tif": (_picture(np.full((41, 29), np.nan, np.float32), "TIFF"), "no pixel has a finite value"),
}


BESIDE_FILMS: dict[str, tuple[Maker, str]] = {
    "dicom_directory": (_dicom(SOPClassUID=_DIRECTORY, **_NO_IMAGE), "Media Storage Directory"),
    "structured_report.dcm": (_dicom(SOPClassUID=_SR, **_NO_IMAGE), "Comprehensive SR"),
    "encapsulated_pdf.dcm": (_dicom(SOPClassUID=_PDF, **_NO_IMAGE), "Encapsulated PDF"),
    "segmentation": (_dicom(SOPClassUID=_SEG, NumberOfFrames=3), "Segmentation"),
}
"""What a study holds beside its films: refused where it is given as one, left out where it lies in a folder."""


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _unreadable(path: Path) -> None:
    write_raw_dicom(path, FILM)
    path.chmod(0)


NOTHING_ON_THEM: dict[str, tuple[Maker, str]] = {
    "one_pixel.dcm": (_dicom(FILM[:1, :1]), "1 x 1 pixels, too small"),
    "one_row.dcm": (_dicom(FILM[:1]), "29 x 1 pixels, too small"),
    "one_column.png": (_picture(GREY8[:, :1], "PNG"), "1 x 41 pixels, too small"),
    "black.dcm": (_dicom(np.zeros((41, 29), np.uint16), **TWELVE), "the same value"),
    "white.png": (_picture(np.full((41, 29), 255, np.uint8), "PNG"), "the same value"),
    "black_but_for_padding.dcm": (
        _dicom(np.pad(np.zeros((41, 29), np.uint16), 1, constant_values=4095), PixelPaddingValue=4095, **TWELVE),
        "the same value",
    ),
}
"""Files that can be read, and show nothing."""

BOMBS: dict[str, Maker] = {"film_and_bomb.nii.gz": _gzip_bomb, "deflate_bomb.dcm": _deflate_bomb}
"""Small files that unpack to `BOMB_BYTES`; the film before the first one's bomb can be read."""

UNREADABLE: dict[str, tuple[Maker, str]] = {
    "link_to_itself.dcm": (lambda path: path.symlink_to(path.name), "cannot be read"),
    "link_to_nothing.dcm": (lambda path: path.symlink_to("nowhere.dcm"), "cannot be read"),
    "pipe.dcm": (_fifo, "neither a file"),
    "forbidden.dcm": (_unreadable, "cannot be read .*ermission"),
}
"""Files that a folder shows and nobody can read."""
