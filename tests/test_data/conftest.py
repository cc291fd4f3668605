"""Tiny CROCO files in the folder of a test."""

from __future__ import annotations

import pytest

from tests.builders.croco_files import TinySea, write_croco, write_grid


@pytest.fixture
def croco_file(tmp_path):
    """Function that writes a tiny CROCO file under a name: croco_file("a.nc", **options of write_croco)."""

    def write(name="his.nc", sea=None, **options):
        return write_croco(tmp_path / name, sea, **options)

    return write


@pytest.fixture
def grid_file(tmp_path):
    """Function that writes a grid file of the same domain."""

    def write(name="grd.nc", sea=None, **options):
        return write_grid(tmp_path / name, sea, **options)

    return write


@pytest.fixture
def tiny_sea():
    """The class of what tiny files hold."""
    return TinySea
