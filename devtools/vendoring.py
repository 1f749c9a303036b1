"""What browsers, their tests and documents take from others: fetched from npm by version and sha256, and committed."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# Where files of others are, each folder with a vendored.json that says which they are.
FOLDERS = (ROOT / "dashboard/static/dashboard/vendor", ROOT / "reports/fonts", ROOT / "tests/e2e/vendor")
MANIFEST = "vendored.json"


def packages(folder: Path) -> list[dict[str, Any]]:
    """Return the packages of a folder: name, version, licence, sha256 of npm's archive, and files by their place in it.

    A file is given with its own sha256.
    """
    found: list[dict[str, Any]] = json.loads((folder / MANIFEST).read_text())
    return found


def sha256(data: bytes) -> str:
    """Return the SHA-256 of some bytes as hex."""
    return hashlib.sha256(data).hexdigest()


def changed(folder: Path) -> list[str]:
    """Return which files of a folder are missing, are not as the manifest has them, or are not in it."""
    expected = {file["name"]: file["sha256"] for package in packages(folder) for file in package["files"].values()}
    there = {path.name: sha256(path.read_bytes()) for path in folder.iterdir() if path.name != MANIFEST}
    return sorted(name for name in expected.keys() | there.keys() if expected.get(name) != there.get(name))


def fetch(folder: Path) -> None:
    """Fetch the packages of a folder, refuse one that is not the archive of the manifest, and write their files."""
    found = packages(folder)
    for package in found:
        with tempfile.TemporaryDirectory() as place:
            archive = _pack(package, Path(place))
            for inside, file in package["files"].items():
                data = _read(archive, f"package/{inside}")
                (folder / file["name"]).write_bytes(data)
                file["sha256"] = sha256(data)
    (folder / MANIFEST).write_text(json.dumps(found, indent=2) + "\n")


def _pack(package: dict[str, Any], place: Path) -> Path:
    wanted = f"{package['package']}@{package['version']}"
    done = subprocess.run(["npm", "pack", "--silent", wanted], cwd=place, check=True, capture_output=True, text=True)
    archive = place / done.stdout.strip().splitlines()[-1]
    if sha256(archive.read_bytes()) != package["sha256"]:
        raise SystemExit(f"error: {wanted} is not the archive whose sha256 is in {MANIFEST}: nothing was written")
    return archive


def _read(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as opened:
        member = opened.extractfile(name)
        assert member is not None, f"{name} is no file"
        return member.read()


if __name__ == "__main__":
    for each in FOLDERS:
        fetch(each)
        print(f"{each.relative_to(ROOT)}: as npm has it")
