"""MONAI Label over its REST API: infer every film, save the label maps as a reader's, fine-tune on them, infer again.

python client.py http://127.0.0.1:8765
"""

import json
import sys
import tempfile
from pathlib import Path

import requests

MODEL = "cmnet"


def infer(url: str, film: str, file: Path) -> None:
    """Write the label map of a film (NIfTI, VerSe codes, the film's pixels and spacing)."""
    asked = {"device": "cpu", "result_extension": ".nii.gz"}
    address = f"{url}/infer/{MODEL}?image={film}&output=image"
    done = requests.post(address, data={"params": json.dumps(asked)}, timeout=600)
    done.raise_for_status()
    file.write_bytes(done.content)


def save(url: str, film: str, file: Path) -> None:
    """Keep a label map, as corrected, beside the film."""
    with file.open("rb") as stream:
        done = requests.put(
            f"{url}/datastore/label?image={film}&tag=final", files={"label": (file.name, stream)}, timeout=60
        )
    done.raise_for_status()


def train(url: str, epochs: int) -> None:
    """Fine-tune on all films with a label; the server's weights are replaced."""
    asked = {"device": "cpu", "max_epochs": epochs, "val_split": 0.25, "multi_gpu": False}
    requests.post(f"{url}/train/{MODEL}?run_sync=true", json=asked, timeout=None).raise_for_status()


def main(url: str) -> None:
    """Go round once."""
    films = requests.get(f"{url}/datastore/?output=all", timeout=60).json()["objects"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "label.nii.gz"
        for film in films:
            infer(url, film, file)
            save(url, film, file)  # a reader would correct it first
        train(url, epochs=1)
        infer(url, next(iter(films)), file)
        print(f"{len(films)} films; label map after fine-tuning: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
