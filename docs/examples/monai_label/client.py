"""MONAI Label over its REST API: infer every film, save corrected label maps, fine-tune on them, infer again.

python client.py http://127.0.0.1:8765 READ

READ holds a reader's label maps (PNG or NIfTI, VerSe codes), named like the films; they replace what was found. For
synthetic films the true maps stand in for a reader's (`labels` of `cmnet-monai synthesize`).
"""

import json
import sys
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import requests

from cmnet_monai.io import read_label_map

MODEL = "cmnet"


def infer(url: str, film: str, file: Path) -> np.ndarray:
    """Write the label map of a film (NIfTI, VerSe codes, the film's pixels and spacing); returns it, (x, y)."""
    asked = {"device": "cpu", "result_extension": ".nii.gz"}
    address = f"{url}/infer/{MODEL}?image={film}&output=image"
    done = requests.post(address, data={"params": json.dumps(asked)}, timeout=600)
    done.raise_for_status()
    file.write_bytes(done.content)
    return read_label_map(file)


def correct(found: Path, read: np.ndarray, corrected: Path) -> int:
    """Write the reader's labels (x, y) in the geometry of what was found; returns the number of changed pixels."""
    volume = nibabel.load(found)
    labels = read.astype(np.uint8).reshape(volume.shape)
    nibabel.save(nibabel.Nifti1Image(labels, volume.affine), corrected)
    return int((labels != np.asarray(volume.dataobj)).sum())


def save(url: str, film: str, file: Path) -> None:
    """Keep a label map, as corrected, beside the film."""
    address = f"{url}/datastore/label?image={film}&tag=final"
    with file.open("rb") as stream:
        requests.put(address, files={"label": (file.name, stream)}, timeout=60).raise_for_status()


def train(url: str, epochs: int) -> None:
    """Fine-tune on all films with a label; the server's weights are replaced."""
    asked = {"device": "cpu", "max_epochs": epochs, "val_split": 0.25, "multi_gpu": False}
    requests.post(f"{url}/train/{MODEL}?run_sync=true", json=asked, timeout=None).raise_for_status()


def weights(url: str) -> str:
    """Checksum of the weights that the server uses."""
    done = requests.get(f"{url}/model/info/{MODEL}", timeout=60)
    done.raise_for_status()
    return str(done.json()["checksum"]).rsplit(":", 1)[-1][:12]


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Dice of two label maps: pixels with the same level in both, against all that have one."""
    return float(2 * ((one == other) & (one > 0)).sum() / ((one > 0).sum() + (other > 0).sum()))


def main(url: str, readings: Path) -> None:
    """Go round once."""
    films = sorted(requests.get(f"{url}/datastore/?output=all", timeout=60).json()["objects"])
    read = {film: read_label_map(next(readings.glob(f"{film}.*"))) for film in films}
    first = {}
    with tempfile.TemporaryDirectory() as folder:
        found, corrected = Path(folder) / "found.nii.gz", Path(folder) / "corrected.nii.gz"
        for film in films:
            first[film] = infer(url, film, found)
            print(f"{film}: {correct(found, read[film], corrected)} pixels corrected")
            save(url, film, corrected)
        before = weights(url)
        train(url, epochs=1)
        print(f"weights: {before} before, {weights(url)} after fine-tuning")
        for film in films:
            second = infer(url, film, found)
            scores = " before, ".join(f"{agreement(labels, read[film]):.3f}" for labels in (first[film], second))
            print(f"{film}: {int((second != first[film]).sum())} pixels differ; Dice with the reader {scores} after")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
