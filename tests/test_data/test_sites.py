"""The site table: every place has a source, traps stand above the floor, and a wrong name finds the right one."""

from __future__ import annotations

import pytest

from data.errors import OptionError
from data.sites import ALIASES, SITES, parse_site

NAMED = ("pap-so", "ofp", "bats", "aloha", "station-m", "dyfamed", "k2", "hausgarten", "cariaco", "estoc", "sots")


def test_the_long_series_are_there_each_with_a_title_and_a_source():
    assert set(NAMED) <= set(SITES)
    for name, site in SITES.items():
        assert site.name == name and site.title and len(site.source) > 20
        assert all(0 < depth < 6000 for depth in site.trap_depths)
    assert all(name in SITES for name in ALIASES.values())


def test_positions_are_those_of_their_sources_in_degrees_and_minutes():
    degrees = lambda whole, minutes: whole + minutes / 60
    for name, lon, lat in (
        ("ofp", -degrees(64, 10), degrees(31, 50)), ("bats", -degrees(64, 10), degrees(31, 40)),
        ("aloha", -158, degrees(22, 45)), ("station-m", -123, degrees(34, 50)), ("dyfamed", degrees(7, 52), degrees(43, 25)),
        ("estoc", -degrees(15, 30), degrees(29, 10)), ("pap-so", -degrees(16, 30), 49),
    ):  # fmt: skip
        assert (SITES[name].x, SITES[name].y) == (pytest.approx(lon, abs=6e-4), pytest.approx(lat, abs=6e-4)), name


@pytest.mark.parametrize(
    ("text", "meant"),
    [("pap", "pap-so"), ("Station M", "station-m"), ("haus-garten", "hausgarten"), ("dyfamd", "dyfamed"),
     ("Fram Strait", "hausgarten"), ("cariacco", "cariaco"), ("canary islands", "estoc"), ("HOT", "aloha")],
)  # fmt: skip
def test_an_unknown_site_is_answered_by_the_names_that_it_may_mean(text, meant):
    with pytest.raises(OptionError, match=f"perhaps .*{meant}"):
        parse_site(text)


def test_a_name_like_none_is_answered_by_the_table():
    with pytest.raises(OptionError) as caught:
        parse_site("xyzzy")
    assert "perhaps" not in str(caught.value) and "station-m" in str(caught.value)
