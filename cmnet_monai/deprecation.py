"""How public names and arguments go away: MONAI's decorators, counting this package's versions.

A name marked with ``@deprecated(since="0.4", removed="0.6", msg_suffix="use `new` instead.")`` warns from 0.4 on, and
raises from 0.6 on. ``@deprecated_arg("old", since="0.4", removed="0.6", new_name="new")`` hands the value on.
The policy is in docs/releasing.md.
"""

from __future__ import annotations

from functools import partial

import monai.utils

from cmnet_monai._version import __version__

deprecated = partial(monai.utils.deprecated, version_val=__version__)
"""`monai.utils.deprecated` for this package's version."""

deprecated_arg = partial(monai.utils.deprecated_arg, version_val=__version__)
"""`monai.utils.deprecated_arg` for this package's version."""

deprecated_arg_default = partial(monai.utils.deprecated_arg_default, version_val=__version__)
"""`monai.utils.deprecated_arg_default` for this package's version."""
