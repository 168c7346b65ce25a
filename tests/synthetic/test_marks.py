from __future__ import annotations

import numpy as np

from cmnet_monai.synthetic.marks import add_marks


def test_marks_are_on_some_films_and_repeat() -> None:
    marked = 0
    for seed in range(80):
        film, again = (np.full((300, 400), 0.4, np.float32) for _ in range(2))
        film[::2] += 0.1
        again[::2] += 0.1
        plain = film.copy()
        for image in (film, again):
            add_marks(image, np.array([[150.0, 200.0]]), np.random.default_rng(seed))
        np.testing.assert_array_equal(film, again)
        assert film.min() >= 0 and film.max() <= 1
        marked += bool((film != plain).any())
    # 1 - 0.88 x 0.95 x 0.9 = 25 % of the films.
    assert 8 <= marked <= 34


def test_print_keeps_off_the_vertebrae() -> None:
    everywhere = np.stack(np.meshgrid(np.arange(0, 300, 5), np.arange(0, 400, 5)), axis=-1).reshape(-1, 2).astype(float)
    crowded = lonely = 0
    for seed in range(60):
        films = [np.full((300, 400), 0.4, np.float32) for _ in range(2)]
        add_marks(films[0], everywhere, np.random.default_rng(seed))
        add_marks(films[1], np.array([[150.0, 200.0]]), np.random.default_rng(seed))
        crowded += bool((films[0] != np.float32(0.4)).any())
        lonely += bool((films[1] != np.float32(0.4)).any())
    # On an even film retouched spots do not show; what is left are lines and, where there is room, print.
    assert crowded < lonely
