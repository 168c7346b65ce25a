from __future__ import annotations

import re
from pathlib import Path

from monai.transforms import Compose


def test_examples_of_the_guide_run(repository: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (repository / "docs" / "transforms.md").read_text(), flags=re.DOTALL)
    assert len(blocks) == 2
    names: dict = {}
    for block in blocks:
        exec(compile(block, "docs/transforms.md", "exec"), names)
    assert isinstance(names["chain"], Compose)
    assert names["dataset"].epoch == 1
