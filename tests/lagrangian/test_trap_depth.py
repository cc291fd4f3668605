"""The depth of the trap: that of the site where the option is left out, and what becomes of the levels below it."""

from __future__ import annotations

import pytest

from data.command import json_ready, parse
from data.errors import OptionError
from lagrangian.config import LEVELS, RunConfig
from lagrangian.design import Design
from lagrangian.run import _with_depth_of_site


def parsed(*words):
    return parse(RunConfig, list(words), prog="lagrangian.run")


def test_the_sites_depth_stands_where_none_is_given_and_is_said(capsys):
    config = _with_depth_of_site(parsed("--site", "ofp"))
    assert config.trap_depth == 3200 and config.levels == LEVELS
    assert "the trap stands at 3200 m, as that of ofp" in capsys.readouterr().out


def test_levels_below_a_shallow_trap_of_the_table_are_left_out_and_named(capsys):
    config = _with_depth_of_site(parsed("--site", "dyfamed"))
    assert config.trap_depth == 1000 and config.levels == (800.0, 600.0, 400.0, 200.0)
    config.validate()
    assert "levels of 2500, 2000, 1500, 1000 m lie at or below the trap and are left out" in capsys.readouterr().out


def test_levels_that_the_user_gave_are_not_left_out():
    config = _with_depth_of_site(parsed("--site", "dyfamed", "--levels", "1500", "200"))
    with pytest.raises(OptionError, match="--levels 1500: lies at or below the trap"):
        config.validate()


def test_default_levels_below_a_trap_of_a_given_depth_are_left_out_and_named(capsys):
    config = _with_depth_of_site(parsed("--trap-depth", "2000"))
    assert config.trap_depth == 2000 and config.levels == (1500.0, 1000.0, 800.0, 600.0, 400.0, 200.0)
    config.validate()
    assert "note: levels of 2500, 2000 m lie at or below the trap and are left out (--levels" in capsys.readouterr().out
    assert Design.at("pap-so", trap_depth=2000.0).levels == config.levels
    given = _with_depth_of_site(parsed("--trap-depth", "2000", "--levels", "2500", "200"))
    with pytest.raises(OptionError, match="--levels 2500: lies at or below the trap"):
        given.validate()
    with pytest.raises(OptionError, match="lies at or below the trap"):
        _with_depth_of_site(parsed("--trap-depth", "150")).validate()


@pytest.mark.parametrize("words", [("--trap-depth", "3000"), ("--trap-depth", "2500", "--levels", "200")])
def test_a_given_depth_is_kept_though_it_be_the_default(words, capsys):
    config = _with_depth_of_site(parsed("--site", "dyfamed", *words))
    assert config.trap_depth == float(words[1]) and not capsys.readouterr().out


@pytest.mark.parametrize("site", ["pap-so", "bats", "-20,45"])
def test_the_general_default_holds_elsewhere_without_a_word(site, capsys):
    config = _with_depth_of_site(parsed("--site", site))
    assert config.trap_depth == 3000 and config.levels == LEVELS and not capsys.readouterr().out
    assert json_ready(config)["trap_depth"] == 3000.0


def test_a_file_of_options_gives_the_depth_too(tmp_path):
    path = tmp_path / "options.toml"
    path.write_text('site = "dyfamed"\ntrap-depth = 3000\n')
    assert _with_depth_of_site(parsed("--config", str(path))).trap_depth == 3000
    path.write_text('site = "dyfamed"\n')
    assert _with_depth_of_site(parsed("--config", str(path))).trap_depth == 1000
