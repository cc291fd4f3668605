"""Trap tables as people have them: every layout below holds the same forty cups, and must give the same forty cups."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import InputError, OptionError
from data.trap_columns import UNIT_PATTERN, chosen_columns, plain, quantity
from data.trap_flux import read_flux

CUPS = 40
FORTNIGHT = pd.Timedelta("14D")
OPENS = pd.date_range("2010-01-10", periods=CUPS, freq="14D")
_RNG = np.random.default_rng(7)
MASS, POC, PIC = (np.round(_RNG.gamma(2.0, middle / 2, CUPS), 3) for middle in (60.0, 4.0, 3.0))
ROWS = list(zip(OPENS, MASS, POC, PIC, strict=True))


@pytest.fixture
def read(tmp_path):
    def call(text, name="flux.csv", **options):
        (tmp_path / name).write_text(text)
        return read_flux(tmp_path / name, **options)

    return call


def check(frame, hours=0.0, mass=MASS, poc=POC, length=FORTNIGHT):
    """The forty cups, whatever the layout."""
    assert len(frame) == CUPS
    shift = pd.Timedelta(hours=hours)
    np.testing.assert_array_equal(frame["open"].to_numpy(), (OPENS + shift).to_numpy())
    np.testing.assert_array_equal(frame["close"].to_numpy(), (OPENS + shift + length).to_numpy())
    for name, values in (("dry_weight", mass), ("poc", poc)):
        if values is not None:
            np.testing.assert_allclose(frame[name], values, rtol=1e-12)
    return frame


# -- dates -----------------------------------------------------------------------------------------------------------
def test_cups_open_at_midnight_and_close_at_noon_under_a_row_of_units(read):
    body = "".join(f"{d:%Y-%m-%d},{d + FORTNIGHT + pd.Timedelta('12h'):%Y-%m-%d %H:%M},{m},{p},{c}\n" for d, m, p, c in ROWS)
    text = "Open Date,End,DW,C ORG,PIC\nat 1200h,,mg/m2/day,mgC/m2/day,mgC/m2/day\n" + body
    for drop in (False, True):
        frame = check(read(text, drop=drop), length=FORTNIGHT + pd.Timedelta("12h"))
        assert "39 cups overlap others by a day or less (rows 4, 5, 6, 7, 8 and 34 more); kept" in frame.attrs["remarks"]
        assert "row 4: overlaps the cup of row 3 by 0.5 days" in frame.attrs["problems"]
        heavy = (8.33 * PIC > MASS).sum()
        (line,) = (one for one in frame.attrs["remarks"] if "CaCO3" in one)
        assert line.startswith(f"{heavy} cups have PIC")
        assert ("set to missing" if drop else "kept: one of the two is wrong") in line
        assert line.count(",") >= heavy - 1  # every row is named
        assert frame["pic"].isna().sum() == (heavy if drop else 0)


@pytest.mark.parametrize("days", [1.0, 1.5])
def test_an_overlap_of_more_than_a_day_is_dropped_and_one_of_a_day_is_not(read, days):
    text = "open,close,poc\n2010-01-01T00:00,2010-01-15T00:00,1\n"
    start = pd.Timestamp("2010-01-15") - pd.Timedelta(days=days)
    text += f"{start:%Y-%m-%dT%H:%M},2010-01-29T00:00,2\n"
    assert len(read(text, drop=True)) == (2 if days <= 1 else 1)


def test_month_first_is_read_where_only_it_fits_all_rows(read):
    body = "".join(f"{d.month}/{d.day}/{d.year},{(e := d + FORTNIGHT).month}/{e.day}/{e.year},{p}\n" for d, _, p, _ in ROWS)
    frame = check(read("open,close,poc\n" + body), mass=None)
    assert frame.attrs["problems"] == ["dates are read as mm/dd/yyyy: only so do all rows fit"]


BOTH = "open,close,poc\n01/02/2010,02/02/2010,6\n02/02/2010,03/02/2010,7\n"


def test_where_both_orders_fit_the_reader_is_asked(read):
    with pytest.raises(InputError, match=r"fit dd/mm/yyyy as well as mm/dd/yyyy; say which: --flux-dates"):
        read(BOTH)
    assert read(BOTH, dates="dd/mm/yyyy")["close"].tolist() == [pd.Timestamp("2010-02-02"), pd.Timestamp("2010-02-03")]
    assert read(BOTH, dates="mm/dd/yyyy")["close"].tolist() == [pd.Timestamp("2010-02-02"), pd.Timestamp("2010-03-02")]
    assert read(BOTH.replace("open,", "open (mm/dd/yyyy),"))["close"][2] == pd.Timestamp("2010-03-02")


def test_an_order_that_makes_impossible_cups_is_not_read(read):
    # 3 to 10 April and on; as 4 March it would be cups of months
    frame = read("open,close,poc\n04/03/2009,04/10/2009,6\n04/10/2009,04/12/2009,6\n")
    assert frame["close"].tolist() == [pd.Timestamp("2009-04-10"), pd.Timestamp("2009-04-12")]
    assert "no possible length" in frame.attrs["problems"][0]


def test_dates_split_over_columns_and_a_duration(read):
    body = "".join(f"{d.year},{d.month},{d.day},14,{m},{p}\n" for d, m, p, _ in ROWS)
    frame = check(read("year,month,day,duration_days,mass_flux_mg_m2_d,org_C_flux_mg_m2_d\n" + body))
    assert "taken for the opening" in frame.attrs["problems"][0]


def test_split_dates_of_both_ends_days_of_the_year_and_hours(read):
    def ends(d):
        return d, d + FORTNIGHT

    split = "".join(",".join(f"{e.year},{e.month},{e.day}" for e in ends(d)) + f",{m},{p}\n" for d, m, p, _ in ROWS)
    head = "start_year,start_month,start_day,end_year,end_month,end_day,TMF mg/m2/d,POC mg/m2/d\n"
    assert not check(read(head + split)).attrs["problems"]
    yearday = "".join(f"{d.year},{d.day_of_year},336,{m},{p}\n" for d, m, p, _ in ROWS)
    check(read("year,yrday,duration (hours),TMF mg/m2/d,POC mg/m2/d\n" + yearday))


def test_dates_and_times_of_day_apart(read):
    body = "".join(f"{d:%Y-%m-%d},12:00,{d + FORTNIGHT:%Y-%m-%d},12:00,{m},{p}\n" for d, m, p, _ in ROWS)
    head = "date_start,time_start,date_end,time_end,total_mass_flux,POC_flux\n"
    check(read(head + body), hours=12)
    check(read(head + body.replace("12:00", "1200")), hours=12)
    check(read(head + body.replace("12:00", "")))
    with pytest.raises(InputError, match="row 2: open 'noon' is not a time of day"):
        read(head + body.replace("12:00", "noon", 1))


@pytest.mark.parametrize("title", ["Date mid", "midpoint date"])
def test_a_middle_and_a_duration(read, title):
    body = "".join(f"{d + FORTNIGHT / 2:%Y-%m-%d},14,{m},{p}\n" for d, m, p, _ in ROWS)
    check(read(f"{title},Duration [days],Flux tot [mg/m**2/day],POC flux [mg/m**2/day]\n" + body))


def test_a_date_that_does_not_tell_what_it_is_of(read):
    body = "".join(f"{d:%Y-%m-%d},14,{m},{p}\n" for d, m, p, _ in ROWS)
    text = "Date/Time,Duration [days],Flux tot [mg/m**2/day],POC flux [mg/m**2/day]\n" + body
    frame = check(read(text))
    assert "is taken for the opening; where it is the middle" in frame.attrs["problems"][0]
    check(read(text, columns={"mid": "Date/Time"}), hours=-7 * 24)


@pytest.mark.parametrize("form", ["%d-%b-%y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d", "%b %d, %Y", "%m/%d/%y", "%d %B %Y"])
def test_dates_in_the_forms_of_spreadsheets(read, form):
    body = "".join(f'"{d.strftime(form)}","{(d + FORTNIGHT).strftime(form)}",{m},{p}\n' for d, m, p, _ in ROWS)
    check(read("open,close,dry_weight,poc\n" + body))


@pytest.mark.parametrize(
    ("form", "hours"),
    [("%m/%d/%Y 0:00", 0), ("%m/%d/%Y 9:30 AM", 9.5), ("%d-%b-%Y 12:00:00 PM", 12), ("%d/%m/%Y 12:00 am", 0),
     ("%Y/%m/%d 24:00", 24),
     ("%Y-%m-%d %H:%M:%S", 0), ("%d.%m.%Y 18:00", 18)],
)  # fmt: skip
def test_dates_with_the_clocks_of_spreadsheets(read, form, hours):
    body = "".join(f'"{d.strftime(form)}","{(d + FORTNIGHT).strftime(form)}",{m},{p}\n' for d, m, p, _ in ROWS)
    check(read("open,close,dry_weight,poc\n" + body), hours=hours)


@pytest.mark.parametrize("clock", ["25:00", "9:61", "13:00 PM", "0:00 AM", "noon"])
def test_a_clock_that_shows_no_time_is_refused(read, clock):
    with pytest.raises(InputError, match=r"row 2: open .* is not a date"):
        read(f"open,close,poc\n13/01/2010 {clock},27/01/2010 0:00,1\n")


def test_a_row_of_units_as_erddap_has_it(read):
    head = "station,latitude,longitude,depth,date_start,date_end,flux_mass,flux_POC\n,degrees_north,degrees_east,m,UTC,UTC,"
    lines = (f"A,49.0,-16.5,3000,{d:%Y-%m-%dT%H:%M:%SZ},{d + FORTNIGHT:%Y-%m-%dT%H:%M:%SZ},{m},{p}\n" for d, m, p, _ in ROWS)
    body = "".join(lines)
    frame = check(read(head + "mg m-2 d-1,mmol m-2 d-1\n" + body), poc=POC * 12.011)
    assert not frame.attrs["problems"]


# -- names and comments ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("DW", "dry_weight"), ("flux_total", "dry_weight"), ("TMF [mg/m**2/day]", "dry_weight"),
        ("mass_flux_mg_m2_d", "dry_weight"),
        ("Total flux", "dry_weight"), ("Mass Flux (mg/m2/d)", "dry_weight"), ("Bulk flux", "dry_weight"),
        ("dry mass", "dry_weight"),
        ("C ORG", "poc"), ("org_C_flux", "poc"), ("Corg [mg/m**2/day]", "poc"), ("Organic carbon flux", "poc"),
        ("POC flux", "poc"), ("C org", "poc"), ("TOC flux [mg/m**2/day]", "poc"), ("flux_mass", "dry_weight"),
        ("C INORG", "pic"), ("C_inorg flux", "pic"), ("Inorganic carbon", "pic"),
        ("Total nitrogen mg/m2/d", "tpn"), ("PON", "tpn"),
        ("CaCO3 flux", None), ("Flux total carbon", None), ("DOC", None), ("dissolved organic carbon", None), ("POC flag", None),
        ("Opal flux", None), ("POC std dev", None), ("total N flux", None),
        ("Deployed", "deployed"), ("Retrieved", "retrieved"), ("date begin", "open"), ("ISO_DateTime_UTC_start", "open"),
        ("Depth water [m]", "depth"), ("Depth_m", "depth"), ("trap depth", "depth"),
        ("Height above bottom [m]", None), ("depth above sea floor", None), ("Water depth (m)", None),
        ("Depth, bottom [m]", None),
    ],
)  # fmt: skip
def test_what_a_header_says(title, kind):
    assert quantity(title) == kind


def test_comment_lines_and_blanks_as_jgofs_has_them(read):
    lines = ["# a comment, with commas", "# another", "date_open date_close mass_flux_mg_m2_d POC_mg_m2_d"]
    lines += [f"{d:%Y-%m-%d} {d + FORTNIGHT:%Y-%m-%d} {m} {p}" for d, m, p, _ in ROWS]
    check(read("\n".join(lines) + "\n"))
    lines[5] = lines[5].rsplit(" ", 1)[0] + " bad"
    with pytest.raises(InputError, match="row 6: poc 'bad'"):
        read("\n".join(lines) + "\n")


def test_line_breaks_in_headers_and_cells_stay_out_of_what_is_said(read):
    body = "".join(f"{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},{m},{p}\n" for d, m, p, _ in ROWS)
    check(read('open\n,"close ","dry\nweight (mg/m2/d)","POC\nflux (mg/m2/d)"\n'.replace("open\n", '"open\n"') + body))
    with pytest.raises(InputError) as caught:
        read('"a\nb",c\n1,2\n')
    assert "\n" not in str(caught.value)


def test_columns_are_named_by_the_user(read):
    body = "".join(f"{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},{m},{p}\n" for d, m, p, _ in ROWS)
    text = "t0,t1,A,B (mmol C m-2 d-1)\n" + body
    with pytest.raises(InputError, match="--flux-columns open=HEADER close=HEADER"):
        read(text)
    named = chosen_columns(("open=T0", "close=t1", "dry_weight=a", "poc=B (mmol C m-2 d-1)"))
    check(read(text, columns=named), poc=POC * 12.011)
    with pytest.raises(InputError, match="beside the headers asked for"):
        read(text, columns={"open": "nothing"})
    two = "open,close,POC,POC flux\n" + "".join(f"{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},{m},{p}\n" for d, m, p, _ in ROWS)
    with pytest.raises(InputError, match="--flux-columns poc=HEADER"):
        read(two)
    check(read(two, columns={"poc": "POC flux"}), mass=None)


@pytest.mark.parametrize("text", ["poc", "=a", "colour=red", "poc="])
def test_names_of_columns_are_checked(text):
    with pytest.raises(OptionError, match="give QUANTITY=HEADER"):
        chosen_columns((text,))
    with pytest.raises(OptionError, match="twice"):
        chosen_columns(("poc=a", "poc=b"))


def test_a_height_above_the_bottom_is_not_the_traps_depth(read):
    body = "".join(f"{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},{{}},{m},{p}\n" for d, m, p, _ in ROWS)
    head = "open,close,{},dry_weight,poc\n"
    for title in ("height above bottom [m]", "depth above seafloor (m)", "Water depth [m]"):
        frame = check(read(head.format(title) + body.format(*[100] * CUPS)))
        assert any(repr(title) in line and "not taken for the trap's depth" in line for line in frame.attrs["problems"])
    both = "open,close,depth,height above bottom,dry_weight,poc\n" + body.replace("{}", "3000,1800")
    check(read(both))
    with pytest.raises(InputError, match="--flux-depth"):
        read(both, depth=1800)


# -- fills -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fill", ["-9", "-9.0", "-5", "-1", "9999", "99999", "1e20", "-9.9"])
def test_what_recurs_and_cannot_be_a_flux_is_missing_and_said_once(read, fill):
    body = "".join(
        f"{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},4000,{fill if i % 4 == 1 else m},{fill if i % 6 == 0 else p}\n"
        for i, (d, m, p, _) in enumerate(ROWS)
    )
    frame = read("open,close,depth,dry_weight,poc\n" + body, depth=4000)
    number = np.arange(CUPS)
    check(frame, mass=np.where(number % 4 == 1, np.nan, MASS), poc=np.where(number % 6 == 0, np.nan, POC))
    problems = frame.attrs["problems"]
    assert len(problems) == 2 and all("taken for a fill value and set to missing: rows" in line for line in problems)


def test_a_negative_flux_that_does_not_recur_is_none_missing(read):
    frame = read("open,close,poc\n2010-01-01,2010-01-15,-9\n2010-01-15,2010-01-29,-0.1\n2010-01-29,2010-02-12,-0.1\n")
    assert frame["poc"].tolist() == [-9, -0.1, -0.1]
    assert frame.attrs["remarks"] == ["3 fluxes are negative (rows 2, 3, 4); kept"]


# -- sites, depths, sheets -------------------------------------------------------------------------------------------
SITES_HEAD = (
    "Event\tLatitude\tLongitude\tDate/Time (Deployed)\tDate/Time end (Retrieved)\tDepth water [m]\tTMF [mg/m**2/day]"
    "\tPOC flux [mg/m**2/day]\n"
)


def two_sites(lat=32.1, lon=-64.6):
    return SITES_HEAD + "".join(
        f"{e}\t{y}\t{x}\t{d:%Y-%m-%dT%H:%M}\t{d + FORTNIGHT:%Y-%m-%dT%H:%M}\t3000\t{m * k:.3f}\t{p * k:.3f}\n"
        for e, y, x, k in (("North", 49.0, -16.5, 1.0), ("South", lat, lon, 0.5))
        for d, m, p, _ in ROWS
    )


def test_several_sites_are_refused_by_name_or_chosen(read):
    text = two_sites()
    with pytest.raises(InputError, match=r"2 sites: North at -16.5,49 \(40 rows\); South at -64.6,32.1 .*--site"):
        read(text)
    for site in ("north", "pap-so", "-16.4,49.1"):
        assert not check(read(text, site=site)).attrs["problems"]
    np.testing.assert_allclose(read(text, site="South")["poc"], POC / 2, atol=6e-4)
    assert "North" in check(read(text, near=(-16.5, 49.0))).attrs["problems"][0]
    with pytest.raises(InputError, match="2 sites"):
        read(text, near=(0.0, 0.0))
    for site in ("east", "0,0"):
        with pytest.raises(OptionError, match=r"--site '.*': .*North"):
            read(text, site=site)


def test_deployments_of_one_site_are_one_trap(read):
    # a few km apart, one after the other
    rows = [f"M{i // 10},{49 + 0.01 * (i // 10)},-16.5,{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},{m},{p}\n"
            for i, (d, m, p, _) in enumerate(ROWS)]  # fmt: skip
    assert not check(read("mooring,lat,lon,open,close,dry_weight,poc\n" + "".join(rows))).attrs["problems"]
    bare = [",".join([row.split(",")[0], *row.split(",")[3:]]) for row in rows]
    assert not check(read("mooring,open,close,dry_weight,poc\n" + "".join(bare))).attrs["problems"]


def test_sites_by_name_that_collected_together_are_several(read):
    text = "station,open,close,dry_weight,poc\n" + "".join(
        f"{name},{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},{m * k},{p * k}\n"
        for name, k in (("A", 1), ("B", 3))
        for d, m, p, _ in ROWS
    )
    with pytest.raises(InputError, match=r"2 sites: A \(40 rows\); B \(40 rows\)"):
        read(text)
    check(read(text, site="a"))


def test_a_record_of_another_place_than_the_predictions_is_told(read):
    text = "latitude,longitude,open,close,poc\n31.7,-64.2,2010-01-01,2010-01-15,6\n"
    (line,) = read(text, near=(-16.5, 49.0)).attrs["problems"]
    assert "km from that of the predictions" in line
    assert not read(text, near=(-64.0, 31.5)).attrs["problems"]
    west = "latitude (N),longitude (W),open,close,poc\n31.7,64.2,2010-01-01,2010-01-15,6\n"
    assert not read(west, near=(-64.0, 31.5)).attrs["problems"]
    assert not read(west.replace("64.2", "64.2 W"), near=(-64.0, 31.5)).attrs["problems"]


def test_two_traps_near_one_depth_that_collected_together(read):
    text = "depth,open,close,dry_weight,poc\n" + "".join(
        f"{z},{d:%Y-%m-%d},{d + FORTNIGHT:%Y-%m-%d},{m * k},{p * k}\n" for z, k in ((3000, 1), (3200, 3)) for d, m, p, _ in ROWS
    )
    assert "at 3000 m is taken" in check(read(text)).attrs["problems"][0]
    np.testing.assert_allclose(read(text, depth=3210)["poc"], 3 * POC)


def test_a_workbook_of_several_records_is_refused_by_sheet_or_chosen(tmp_path):
    path = tmp_path / "flux.xlsx"
    frame = pd.DataFrame({"open": OPENS, "close": OPENS + FORTNIGHT, "DW": MASS, "C ORG": POC})
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        (frame.assign(**{"DW": 2 * MASS})).to_excel(book, sheet_name="1000 m", index=False)
        frame.to_excel(book, sheet_name="3000 m", index=False)
        pd.DataFrame({"about": ["text"]}).to_excel(book, sheet_name="notes", index=False)
    with pytest.raises(InputError, match=r"hold flux records: '1000 m' \(40 rows\), '3000 m' \(40 rows\).*--sheet"):
        read_flux(path)
    check(read_flux(path, sheet="3000 M"))
    with pytest.raises(OptionError, match="has the sheets '1000 m', '3000 m', 'notes'"):
        read_flux(path, sheet="2000 m")
    one = tmp_path / "one.xlsx"
    with pd.ExcelWriter(one, engine="openpyxl") as book:
        pd.DataFrame({"about": ["text"]}).to_excel(book, sheet_name="notes", index=False)
        frame.to_excel(book, sheet_name="3000 m", index=False)
    assert "sheets not read: 'notes'" in check(read_flux(one)).attrs["problems"]


def test_times_of_a_sheet_are_read(tmp_path):
    path = tmp_path / "flux.xlsx"
    noon = [dt.time(12)] * CUPS
    frame = pd.DataFrame({"open date": OPENS, "open time": noon, "end date": OPENS + FORTNIGHT, "end time": noon, "DW": MASS,
                          "C ORG": POC})  # fmt: skip
    frame.to_excel(path, index=False)
    check(read_flux(path), hours=12)


def test_a_sheet_of_a_text_file_is_refused(read):
    with pytest.raises(OptionError, match="is a text file"):
        read(BOTH, sheet="a")


# -- properties ------------------------------------------------------------------------------------------------------
FORMS = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%b-%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%b %d, %Y")
UNITS = {"mg/m2/day": 1.0, "g m-2 yr-1": 1000 / 365.25, "mmol m-2 d-1": 12.011, "ug m-2 d-1": 1e-3, "umol C m-2 d-1": 12.011e-3}
DATES = st.dates(dt.date(1980, 1, 1), dt.date(2040, 1, 1))
record = st.lists(st.tuples(st.integers(7, 42), st.floats(0.01, 500)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    cups=record,
    form=st.sampled_from(FORMS),
    unit=st.sampled_from(sorted(UNITS)),
    units_row=st.booleans(),
    separator=st.sampled_from(";\t"),
    order=st.randoms(use_true_random=False),
    first=DATES,
)
def test_the_order_of_rows_the_form_of_dates_and_the_unit_make_no_difference(
    tmp_path_factory, cups, form, unit, units_row, separator, order, first
):
    edges = [first]
    for days, _ in cups:
        edges.append(edges[-1] + dt.timedelta(days=days))
    rows = [
        separator.join([a.strftime(form), b.strftime(form), repr(value / UNITS[unit])])
        for (a, b), (_, value) in zip(pairwise(edges), cups, strict=True)
    ]
    order.shuffle(rows)
    told = {"%d/%m/%Y": "dd/mm/yyyy", "%m/%d/%Y": "mm/dd/yyyy", "%d.%m.%Y": "dd/mm/yyyy"}.get(form)
    head = ["open", "close", "POC" if units_row else f"POC {unit}"]
    lines = [separator.join(head), *([separator.join(["", "", unit])] if units_row else []), *rows]
    path = tmp_path_factory.mktemp("trap") / "flux.txt"
    path.write_text("\n".join(lines) + "\n")
    frame = read_flux(path, dates=told)
    assert frame["open"].dt.date.tolist() == edges[:-1] and frame["close"].dt.date.tolist() == edges[1:]
    np.testing.assert_allclose(frame["poc"], [value for _, value in cups], rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(cups=record, form=st.sampled_from(FORMS[1:3]), first=DATES)
def test_days_and_months_are_never_swapped_without_a_word(tmp_path_factory, cups, form, first):
    """Whatever dates are written: they are read as they are meant, or the user is asked."""
    edges = [first]
    for days, _ in cups:
        edges.append(edges[-1] + dt.timedelta(days=days))
    path = tmp_path_factory.mktemp("trap") / "flux.csv"
    path.write_text("open,close,poc\n" + "".join(f"{a.strftime(form)},{b.strftime(form)},6\n" for a, b in pairwise(edges)))
    try:
        frame = read_flux(path)
    except InputError as error:
        assert "--flux-dates" in str(error)
        return
    assert frame["open"].dt.date.tolist() == edges[:-1] and frame["close"].dt.date.tolist() == edges[1:]


@given(st.text(max_size=30))
def test_any_header_has_at_most_one_meaning_and_raises_nothing(title):
    quantity(title)
    UNIT_PATTERN.search(plain(title))
