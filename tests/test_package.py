from __future__ import annotations

import ast
import configparser
import graphlib
import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.version import Version

from cmnet_monai import __version__

ON_3_11 = {"python_version": "3.11", "python_full_version": "3.11.0"}
"""Python that metadata.json states the packages' versions for."""
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


@pytest.fixture(scope="module")
def setup(repository: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(repository / "setup.cfg", encoding="utf-8")
    return parser


def lines_of(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def name_of(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(requirement).name).lower()


def constraints(repository: Path) -> list[Requirement]:
    text = (repository / "constraints.txt").read_text(encoding="utf-8")
    return [Requirement(line.split(" #")[0]) for line in lines_of(text)]


def test_version_is_written_in_one_place(repository: Path, setup: configparser.ConfigParser) -> None:
    assert setup["metadata"]["version"] == "attr: cmnet_monai._version.__version__"
    written = [
        file.relative_to(repository).as_posix()
        for file in (repository / "cmnet_monai").rglob("*.py")
        if f'"{__version__}"' in file.read_text(encoding="utf-8")
    ]
    assert written == ["cmnet_monai/_version.py"]
    assert Version(__version__)


def test_every_place_that_names_the_version_names_this_one(repository: Path) -> None:
    meta = json.loads((repository / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")
    changes = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+)$", changes, re.MULTILINE)
    assert meta["version"] == __version__ and __version__ in meta["changelog"]
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [__version__]
    assert released[0] == __version__ and released == sorted(released, key=Version, reverse=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", __version__)


def test_every_package_is_declared_and_exists(repository: Path, setup: configparser.ConfigParser) -> None:
    declared = set(lines_of(setup["options"]["packages"]))
    found = {
        ".".join(file.parent.relative_to(repository).parts)
        for file in (repository / "cmnet_monai").rglob("__init__.py")
    }
    assert declared == found | {"cmnet_monai.bundle"}


def test_wheel_carries_every_file_of_the_bundle(repository: Path, setup: configparser.ConfigParser) -> None:
    patterns = lines_of(setup["options.package_data"]["cmnet_monai.bundle"])
    bundle = repository / "bundle"
    carried = {file for pattern in patterns for file in bundle.glob(pattern)}
    needed = {file for place in ("configs", "docs") for file in (bundle / place).rglob("*") if file.is_file()}
    assert needed | {bundle / "LICENSE"} <= carried


def test_layers_name_every_room(repository: Path, setup: configparser.ConfigParser) -> None:
    layers = setup["importlinter:contract:layers"]["layers"].replace("|", "\n")
    rooms = {file.parent.name for file in (repository / "cmnet_monai").glob("*/__init__.py")}
    assert rooms <= {line.rsplit(".", 1)[-1] for line in lines_of(layers)}


def imported(file: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports, within its functions too, but not for types alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    left_out = {id(node) for block in typing for statement in block.body for node in ast.walk(statement)}
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and id(node) not in left_out:
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= full & modules if full & modules else {str(node.module)}
    return names & modules


def test_no_files_import_each_other(repository: Path) -> None:
    files = {
        ".".join(file.relative_to(repository).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (repository / "cmnet_monai").rglob("*.py")
    }
    graph = {name: imported(file, set(files)) - {name} for name, file in files.items()}
    assert len(graph) > 100 and "cmnet_monai.io.films.film" in graph["cmnet_monai.io.films.radiograph_reader"]
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the files


@pytest.mark.parametrize("python", PYTHONS)
def test_constraints_fix_one_version_of_every_requirement(
    repository: Path, setup: configparser.ConfigParser, python: str
) -> None:
    def applies(marker: Marker | None) -> bool:
        return marker is None or marker.evaluate({"python_version": python, "python_full_version": f"{python}.0"})

    pinned: dict[str, list[Requirement]] = {}
    for requirement in constraints(repository):
        if applies(requirement.marker):
            pinned.setdefault(name_of(str(requirement)), []).append(requirement)
    extras = setup["options.extras_require"]
    wanted = lines_of(setup["options"]["install_requires"])
    wanted += [line for line in lines_of(extras["onnx"]) + lines_of(extras["dev"]) if not line.startswith("%")]
    for line in wanted:
        requirement = Requirement(line)
        (pin,) = pinned.get(name_of(line), [None])
        assert pin is not None, f"constraints.txt has no {requirement.name} for Python {python}"
        (version,) = (specifier.version for specifier in pin.specifier)
        assert str(pin.specifier) == f"=={version}" and requirement.specifier.contains(version), str(pin)
    assert all(len(pins) == 1 for pins in pinned.values())


def test_bundle_requires_versions_that_the_package_allows(repository: Path, setup: configparser.ConfigParser) -> None:
    meta = json.loads((repository / "bundle" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    named = {"monai": meta["monai_version"], "torch": meta["pytorch_version"], "numpy": meta["numpy_version"]}
    named |= meta["required_packages_version"]
    required = {name_of(line): Requirement(line) for line in lines_of(setup["options"]["install_requires"])}
    for name, version in named.items():
        if name.lower() in required:
            assert required[name.lower()].specifier.contains(version), name
    # An archive of the bundle brings no installer: metadata.json alone says what its code needs.
    assert {name_of(name) for name in named} | {"torch", "monai", "numpy"} >= set(required)
    pins = {name_of(str(pin)): pin for pin in constraints(repository) if not pin.marker or pin.marker.evaluate(ON_3_11)}
    for name, version in named.items():
        assert str(pins[name_of(name)].specifier) == f"=={version}", name


def test_network_data_format_is_that_of_the_shipped_weights_and_training_follows_the_paper(repository: Path) -> None:
    configs = repository / "bundle" / "configs"
    formats = json.loads((configs / "metadata.json").read_text(encoding="utf-8"))["network_data_format"]
    record = json.loads((repository / "bundle" / "models" / "model.json").read_text(encoding="utf-8"))
    train = json.loads((configs / "train.json").read_text(encoding="utf-8"))
    shapes = [formats["inputs"]["image"]["spatial_shape"], formats["outputs"]["pred"]["spatial_shape"]]
    assert shapes == [record["spatial_size"]] * 2
    for config in (record, train):
        assert (config["label_protocol"], formats["outputs"]["pred"]["num_channels"]) == ("levels", 4)
    paper = {"spatial_size": [512, 1024], "learning_rate": 2e-5, "batch_size": 10, "max_epochs": 100}
    assert {name: train[name] for name in paper} == paper


@pytest.mark.parametrize(
    "name", ["train", "evaluate", "inference", "inference_trt", "multi_gpu_train", "multi_gpu_evaluate"]
)
def test_every_name_that_help_documents_is_in_the_config(repository: Path, name: str) -> None:
    config = json.loads((repository / "bundle" / "configs" / f"{name}.json").read_text(encoding="utf-8"))
    documented = {word.strip() for key in config["_help_"] for word in key.split(",")} - {"what"}
    assert documented <= set(config)


def test_configs_hold_no_lambda_and_no_slice(repository: Path) -> None:
    for file in (repository / "bundle" / "configs").glob("*.json"):
        text = file.read_text(encoding="utf-8")
        assert "lambda" not in text, file.name
        assert not re.search(r'"\$[^"]*\[[^\]\']*:[^\]\']*\]', text), file.name


def test_installed_command_is_the_packages() -> None:
    (entry,) = (e for e in metadata.entry_points(group="console_scripts") if e.name == "cmnet-monai")
    assert entry.value == "cmnet_monai.cli.main:main"
