"""How set-up takes the viewers' files out of npm packages."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aurelius_catalog.viewing.web_assets import find_web_asset, list_web_assets

ROOT = Path(__file__).parents[2]
FILES = {
    "package/package.json": b"{}",
    "package/LICENSE": b"free",
    "package/src/app.js": b"source",
    "package/dist/app.js": b'root = "/"; more = "/"',
    "package/dist/app.js.map": b"map",
    "package/dist/models/big.onnx": b"model",
    "package/dist/images/a.png": b"png",
}
PACKAGE = {"folder": "dist", "leave_out": ["*.map", "models/*"], "replace": {'"/"': "BASE"}}


@pytest.fixture(scope="module")
def setup() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_setup", ROOT / "deploy" / "setup.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as files:
        for name, content in FILES.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    return path


def test_only_built_files_are_unpacked_and_work_below_any_path(
    setup: ModuleType, archive: Path, tmp_path: Path
) -> None:
    target = tmp_path / "web"
    setup.unpack_built(archive, PACKAGE, target)
    found = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert found == {"LICENSE", "app.js", "app.js.gz", "images/a.png"}
    assert (target / "app.js").read_bytes() == b"root = BASE; more = BASE"
    assert gzip.decompress((target / "app.js.gz").read_bytes()) == b"root = BASE; more = BASE"


def test_a_package_that_cannot_be_adapted_any_more_is_refused(setup: ModuleType, archive: Path, tmp_path: Path) -> None:
    changed: dict[str, Any] = PACKAGE | {"replace": {"somewhere else": "x"}}
    with pytest.raises(setup.SetupError, match="somewhere else"):
        setup.unpack_built(archive, changed, tmp_path / "web")


def test_a_package_with_another_hash_is_refused(
    setup: ModuleType, archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = archive.read_bytes()

    def pack(command: list[str], **_: object) -> None:
        folder = Path(command[command.index("--pack-destination") + 1])
        (folder / "package.tgz").write_bytes(packed)

    monkeypatch.setattr(setup, "run", pack)
    monkeypatch.setattr(setup, "WEB", tmp_path / "web")
    with pytest.raises(setup.SetupError, match="do not use it"):
        setup.install_web_files(["npm"])
    assert not (tmp_path / "web").exists()


def test_every_package_of_the_lock_is_installed() -> None:
    for name, package in json.loads((ROOT / "deploy" / "web.json").read_text()).items():
        assert package["integrity"].startswith("sha512-")
        assert any(asset.endswith(".min.js") or "bundle" in asset for asset in list_web_assets(name))
    assert find_web_asset("openseadragon", "openseadragon.min.js").parent.is_relative_to(sys.prefix)
