from __future__ import annotations

from cmnet_monai.evaluation.film_scores import BodyScore, FilmScore
from cmnet_monai.evaluation.report import comparison_table, film_table, summary_table

NAN = float("nan")
FILMS = [FilmScore("film_b", 0.8, 0.75, 0.9, 2, 2, 1, 1), FilmScore("film_a", 0.94, 0.95, 0.93, 1, 1, 1, 0)]
BODIES = [
    BodyScore("film_b", "L4", 0.4, 0.7, True, False, 3.0, 100.0),
    BodyScore("film_b", "L5", 0.8, 0.9, True, True, 2.0, 100.0),
    BodyScore("film_a", "L5", NAN, 0.96, True, True, 1.0, 100.0),
]


def cells(table: str, first: str) -> list[str]:
    (row,) = (line for line in table.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split("|")][1:]


def test_summary_stands_beside_that_of_another_model() -> None:
    table = summary_table({"one": (FILMS, BODIES), "other": (FILMS[1:], BODIES[2:])})
    assert cells(table, "") == ["one", "other"]
    assert cells(table, "mean Dice of L1-L5") == ["**0.870**", "**0.940**"]
    assert cells(table, "median, lowest") == ["0.870, 0.800", "0.940, 0.940"]
    assert cells(table, "bodies named rightly") == ["2 of 3", "1 of 1"]
    assert cells(table, "median centre error, share of body width") == ["2.0 %", "1.0 %"]
    assert cells(table, "the same, outlines of confidence 0.5 or less") == ["0.70 (1 bodies)", "- (0 bodies)"]
    assert cells(table, "mean Dice of L5") == ["0.93", "0.96"]
    assert cells(table, "mean Dice of L4") == ["0.70", "-"]


def test_films_are_listed_by_name_with_the_dice_of_each_level() -> None:
    table = film_table(FILMS, BODIES)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["film_a", "film_b"]
    assert cells(table, "film_b") == ["0.800", "0.750", "0.900", "2/2", "1/2", "-", "-", "-", "0.70", "0.90"]


def test_comparison_has_one_row_a_way() -> None:
    table = comparison_table({"one": (FILMS, BODIES), "other": (FILMS[1:], BODIES[2:])})
    assert cells(table, "one") == ["0.870", "0.870", "0.800", "3 of 3", "2 of 3", "1", "2.0 %"]
    assert cells(table, "other") == ["0.940", "0.940", "0.940", "1 of 1", "1 of 1", "0", "1.0 %"]
