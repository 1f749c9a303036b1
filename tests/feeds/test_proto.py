"""The generated modules are those of the .proto files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(each.relative_to(ROOT) for each in (ROOT / "feeds" / "proto").glob("*_pb2.py*"))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("proto")
    subprocess.run([ROOT / "scripts" / "proto.sh", folder], cwd=ROOT, check=True)
    return folder


def test_there_are_some():
    assert len(MODULES) == 2


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_they_are_what_the_compiler_makes_of_the_proto(made, module):
    assert (ROOT / module).read_text() == (made / module).read_text(), "run: make proto"
