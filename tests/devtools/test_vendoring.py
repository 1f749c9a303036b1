"""What others made is in the repository as they published it."""

from __future__ import annotations

import shutil

import pytest

from devtools.vendoring import FOLDERS, MANIFEST, changed


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_every_file_is_the_one_that_the_manifest_has(folder):
    assert changed(folder) == []


def test_a_file_that_was_edited_is_named(tmp_path):
    copy = tmp_path / "vendor"
    shutil.copytree(FOLDERS[0], copy)
    with (copy / "uPlot.esm.js").open("a") as file:
        file.write("// a small improvement")
    assert changed(copy) == ["uPlot.esm.js"]


def test_a_file_that_no_package_has_is_named(tmp_path):
    copy = tmp_path / "vendor"
    shutil.copytree(FOLDERS[0], copy)
    (copy / "other.js").touch()
    assert changed(copy) == ["other.js"]


def test_a_file_that_is_gone_is_named(tmp_path):
    copy = tmp_path / "vendor"
    shutil.copytree(FOLDERS[0], copy)
    (copy / "uPlot.LICENSE").unlink()
    assert changed(copy) == ["uPlot.LICENSE"]
    assert (copy / MANIFEST).exists()
