"""Write a film's mask, label map and centres."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import convert_to_numpy

from cmnet_monai.conventions import META_PROVENANCE, META_SPACING
from cmnet_monai.decode import GivenCentres
from cmnet_monai.io.files.results import GIVEN_ENTRY, FilmResult


class SaveFilmResultd(MapTransform):
    """Write mask and label map (NIfTI and PNG each) and the centres (JSON) of a film, each file whole or not at all.

    The item carries ``name``, the stem of the outputs, and ``path``, the film's file, as `film_items` gives them, and
    may carry ``fingerprint``, as `FilmDataset` adds it.

    Args:
        keys: key of the mask, (1, x, y), 0/1, on the film's own grid.
        output_dir: where the files go.
        run_id: identity of the run's settings (`run_identity`); a later run skips films that carry its own.
        centres_key: key of the centres' records.
        image_key: the film; its metadata say what its spacing is.
        anonymous: leave the film's name out of the JSON; the run's manifest alone tells which film it was.
        labels_key: key of the label map in VerSe codes, (1, x, y), on the same grid; None leaves it out.
        given_key: what a reader gave on the film (`GivenCentres.rows`); need not be there.
        allow_missing_keys: do not raise where a key is missing.

    >>> import json
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     film = Path(folder, "a.dcm")
    ...     film.touch()
    ...     item = {"name": "a", "path": film, "pred": np.ones((1, 30, 50)), "centres": [{"level": "L3", "x_px": 12.5}]}
    ...     _ = SaveFilmResultd("pred", f"{folder}/results")(item)
    ...     files = sorted(file.name for file in Path(folder, "results").iterdir())
    ...     record = json.loads(Path(folder, "results", "a_centres.json").read_text())
    >>> files, record["size_xy_px"], record["centres"]
    (['a_centres.json', 'a_mask.nii.gz', 'a_mask.png'], [30, 50], [{'level': 'L3', 'x_px': 12.5}])
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | Path,
        run_id: str = "",
        centres_key: str = "centres",
        image_key: str = "image",
        anonymous: bool = False,
        labels_key: str | None = None,
        given_key: str = "given_centres",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.given_key = given_key
        self.output_dir = Path(output_dir)
        self.run_id = run_id
        self.centres_key = centres_key
        self.image_key = image_key
        self.anonymous = anonymous
        self.labels_key = labels_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files and return the item as it is."""
        for key in self.key_iterator(dict(data)):
            mask = data[key]
            result = FilmResult(self.output_dir, str(data["name"]))
            image = data.get(self.image_key)
            spacing = _spacing(image.meta if isinstance(image, MetaTensor) else {})
            labels = None if self.labels_key is None else convert_to_numpy(data[self.labels_key])[0].astype(np.uint8)
            given = data.get(self.given_key)
            records = [] if given is None else GivenCentres.from_rows(convert_to_numpy(given)).records()
            affine = np.asarray(mask.affine, dtype=np.float64) if isinstance(mask, MetaTensor) else np.eye(3)
            result.write(
                film=data["path"],
                mask_xy=convert_to_numpy(mask)[0].astype(np.uint8),
                affine=affine,
                centres=data.get(self.centres_key, []),
                run_id=self.run_id,
                film_name=result.name if self.anonymous else None,
                labels_xy=labels,
                fingerprint=data.get("fingerprint"),
                spacing_known=spacing[META_SPACING] is not None,
                **({GIVEN_ENTRY: records} if records else {}),
                **spacing,
            )
        return dict(data)


def _spacing(meta: Mapping[str, Any]) -> dict[str, Any]:
    spacing = np.asarray(convert_to_numpy(meta.get(META_SPACING, (np.nan, np.nan))), dtype=np.float64)
    known = bool(np.isfinite(spacing).all())
    return {
        META_SPACING: [float(s) for s in spacing] if known else None,
        META_PROVENANCE: str(meta.get(META_PROVENANCE, "none")),
    }


SaveFilmResultD = SaveFilmResultDict = SaveFilmResultd
