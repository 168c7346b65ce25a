from __future__ import annotations

import warnings

import pytest
from monai.utils import DeprecatedError
from packaging.version import Version

from cmnet_monai import __version__
from cmnet_monai.deprecation import deprecated, deprecated_arg, deprecated_arg_default

NOW = Version(__version__)
NEXT, LATER = f"{NOW.major}.{NOW.minor + 1}.0", f"{NOW.major}.{NOW.minor + 2}.0"


def test_deprecated_name_warns_and_goes_on() -> None:
    @deprecated(since=__version__, removed=LATER, msg_suffix="use `new` instead.")
    def old(value: int) -> int:
        return value + 1

    with pytest.warns(
        FutureWarning, match=rf"deprecated since version {__version__}.*removed in version {LATER}.*`new`"
    ):
        assert old(2) == 3


def test_name_whose_time_has_come_raises() -> None:
    @deprecated(since="0.1.0", removed=__version__)
    class Old:
        pass

    with pytest.raises(DeprecatedError, match=f"was removed in version {__version__}"):
        Old()


def test_versions_are_this_packages_and_not_monais() -> None:
    @deprecated(since=NEXT, removed=LATER)  # both lie behind MONAI's version
    def still_fine() -> str:
        return "fine"

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert still_fine() == "fine"


def test_renamed_argument_hands_its_value_on() -> None:
    @deprecated_arg("sigma", since=__version__, removed=LATER, new_name="sigma_px")
    @deprecated_arg_default("mode", old_default="a", new_default="b", since=__version__, replaced=LATER)
    def blur(sigma_px: float = 1.0, mode: str = "a", sigma: float | None = None) -> tuple[float, str]:
        return sigma_px, mode

    with pytest.warns(FutureWarning, match="sigma"):
        assert blur(sigma=3.0, mode="a") == (3.0, "a")
    with pytest.warns(FutureWarning, match="mode"):
        assert blur(2.0) == (2.0, "a")
