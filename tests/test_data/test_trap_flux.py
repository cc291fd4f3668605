"""The reader of sediment-trap records: three layouts, their units, and every defect that real sheets have, named by its row."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.errors import InputError, StoreError
from data.trap_flux import COLUMNS, FLUXES, cup_length_days, read_flux, select_depth, write_flux

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "trap" / "torresvaldes2014_PAPbox.csv"
needs_shared = pytest.mark.skipif(not SHARED.is_file(), reason="the real trap record (shared/data/trap) is not here")

PLAIN = "open,close,dry_weight,poc,pic\n"
BODC = (
    "open date (dd/mm/yyyy),close date (dd/mm/yyyy),mid date (dd/mm/yyyy),Dry Weight Flux mg/m2/day,"
    "Particulate Organic Carbon Flux mg/m2/day,Total Particulate Nitrogen Flux mg/m2/day,"
    "Particulate Inorganic Carbon Flux mg/m2/day\n"
)


@pytest.fixture
def csv_file(tmp_path):
    """Write text to a file and give its path."""

    def write(text, name="flux.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.fixture
def read(csv_file):
    return lambda text, **options: read_flux(csv_file(text), **options)


@pytest.fixture
def refused(csv_file):
    """The line with which a text is refused, without the name of the file."""

    def call(text, **options):
        path = csv_file(text)
        with pytest.raises(InputError) as caught:
            read_flux(path, **options)
        line = str(caught.value)
        assert "\n" not in line and line.startswith(str(path))
        return line.removeprefix(str(path))

    return call


def cups(*fluxes, first="2010-01-01", days=14):
    """Lines of the plain layout: consecutive cups with the given values."""
    edges = pd.date_range(first, periods=len(fluxes) + 1, freq=f"{days}D").strftime("%Y-%m-%d")
    return "".join(f"{a},{b},{flux}\n" for a, b, flux in zip(edges, edges[1:], fluxes))


# -- layouts -------------------------------------------------------------------------------------------------


def test_plain_layout(read):
    frame = read(PLAIN + cups("100,5,6", "80.5,,4"))
    assert list(frame.columns) == ["open", "close", *COLUMNS]
    assert frame.index.tolist() == [1, 2] and frame.index.name == "cup"
    assert frame["open"].dtype == frame["close"].dtype == np.dtype("datetime64[ns]")
    assert (frame[list(COLUMNS)].dtypes == np.float64).all()
    assert frame["open"].tolist() == [pd.Timestamp("2010-01-01"), pd.Timestamp("2010-01-15")]
    assert frame["dry_weight"].tolist() == [100, 80.5]
    assert np.isnan(frame.loc[2, "poc"]) and frame["tpn"].isna().all()
    assert frame.attrs["problems"] == [] and frame.attrs["units"] == "mg m-2 d-1"


def test_bodc_layout_with_day_first_and_empty_mid_date(read):
    frame = read(BODC + "03/04/2009,17/04/2009,,120,6,0.9,7\n17/04/2009,01/05/2009,24/04/2009,90,5,0.8,4\n")
    assert frame["open"].tolist() == [pd.Timestamp("2009-04-03"), pd.Timestamp("2009-04-17")]
    assert frame["close"].tolist() == [pd.Timestamp("2009-04-17"), pd.Timestamp("2009-05-01")]
    assert frame.loc[1, list(COLUMNS)].tolist() == [120, 6, 7, 0.9]
    assert frame.attrs["problems"] == []


@pytest.mark.parametrize(
    "header",
    [
        "PAP-SO 3000 m,,,,\n" + PLAIN,
        "\n" + PLAIN.rstrip() + ",\n",
        "open,close,dry_weight,poc,pic\n,,mg/m2/day,mg/m2/day,mg/m2/day\n",
        "open,close,Dry Weight Flux,POC flux,PIC flux\n(yyyy-mm-dd),(yyyy-mm-dd),mg m-2 d-1,mg m-2 d-1,mg m-2 d-1\n",
    ],
)
def test_two_header_rows_and_row_numbers(read, header):
    frame = read(header + cups("100,5,6", "80,4,-0.3"))
    assert frame["poc"].tolist() == [5, 4]
    assert frame.attrs["problems"] == ["row 4: pic -0.3 is negative"]


def test_a_third_header_row(read):
    header = "open,close,dry_weight,poc,pic\n,,flux,flux,flux\n(yyyy-mm-dd),(yyyy-mm-dd),mg m-2 d-1,mmol m-2 d-1,mg m-2 d-1\n"
    frame = read(header + cups("100,1,6", "80,2,-0.3"))
    assert frame["poc"].tolist() == pytest.approx([12.011, 24.022])
    assert frame.attrs["problems"] == ["row 5: pic -0.3 is negative"]


PANGAEA = (
    "/* DATA DESCRIPTION:\nCitation:\tSomebody (2014): Fluxes; open, close, dry_weight\n"
    + "".join(f"Parameter(s):\tline {number}\n" for number in range(25))
    + "*/\nEvent\tDate/Time (start)\tDate/Time end\tDuration [days]\tDepth water [m]\t{total} [mg/m**2/day]\t"
    "POC flux [mg/m**2/day]\tOpal flux [mg/m**2/day]\tPOC flux std dev [mg/m**2/day]\n"
)


@pytest.mark.parametrize("total", ["Flux tot", "TMF", "Total mass flux"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_pangaea_table_with_its_description(csv_file, total, line_end):
    text = PANGAEA.replace("{total}", total)
    text += "PAP-1\t1997-03-23T00:00\t1997-03-30T00:00\t7\t3000\t15.5\t0.96\t3\t0.1\n"
    text += "PAP-1\t1997-03-30T00:00\t1997-04-13T00:00\t14\t3000\t20.5\t-1\t3\t0.1\n"
    frame = read_flux(csv_file(text.replace("\n", line_end), name="flux.tab"))
    assert frame["open"].tolist() == [pd.Timestamp("1997-03-23"), pd.Timestamp("1997-03-30")]
    assert frame["dry_weight"].tolist() == [15.5, 20.5] and frame["poc"].tolist() == [0.96, -1]
    assert frame.attrs["problems"] == ["not used: 'Opal flux [mg/m**2/day]'", "row 31: poc -1 is negative"]


def test_a_description_that_never_ends_is_refused(refused):
    assert "does not end with */" in refused(PANGAEA.replace("*/", ""))


def test_months_by_name(read):
    frame = read(PLAIN + "03-Apr-2009,17-apr-2009,1,,\n17 April 2009,1/MAY/2009 12:00,2,,\n")
    assert frame["open"].tolist() == [pd.Timestamp("2009-04-03"), pd.Timestamp("2009-04-17")]
    assert frame["close"].tolist() == [pd.Timestamp("2009-04-17"), pd.Timestamp("2009-05-01 12:00")]


@pytest.mark.parametrize(
    ("order", "doubt"), [("", ": are the dates mm/dd? (name the order in the header)"), (" (dd/mm/yyyy)", "")]
)
def test_cups_of_months_are_remarked_on(read, order, doubt):
    # 4 March to 4 October, where 3 to 10 April is meant
    frame = read(f"open{order},close{order},poc\n04/03/2009,04/10/2009,6\n05/10/2009,19/10/2009,6\n")
    assert frame.attrs["problems"] == [f"row 2: cup of 214 days{doubt}"]


def test_second_header_row_gives_the_units(read):
    frame = read("open,close,dry_weight,poc,pic\n,,g m-2 yr-1,mmol m-2 d-1,mg m-2 d-1\n" + cups("36.525,1,6"))
    assert frame.loc[1, ["dry_weight", "poc", "pic"]].tolist() == pytest.approx([100, 12.011, 6])


def test_row_numbers_are_lines_even_after_quoted_line_breaks(read):
    text = "open,close,dry_weight,poc,pic,comment\n" + cups('100,5,6,"two\nlines"', "80,4,-1,")
    assert read(text).attrs["problems"] == ["row 4: pic -1 is negative"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_encodings(csv_file, encoding):
    path = csv_file(PLAIN.replace("pic", "pic (µg m-2 d-1)") + cups("100,5,6000"), encoding=encoding)
    assert read_flux(path).loc[1, "pic"] == pytest.approx(6)


def test_semicolons_and_decimal_commas(read):
    frame = read((PLAIN + cups("100|5|6")).replace(",", ";").replace("100|5|6", "100,5;5;6,25"))
    assert frame.loc[1, list(FLUXES)].tolist() == [100.5, 5, 6.25]


def test_order_and_blank_rows(read):
    frame = read(PLAIN + cups("2,,", first="2011-01-01") + ",,,,\n\n" + cups("1,,", first="2010-12-18"))
    assert frame["dry_weight"].tolist() == [1, 2] and not frame.attrs["problems"]


def test_times_of_day_and_zones(read):
    frame = read(PLAIN + "2010-01-01T12:00:00Z,2010-01-08 18:00,1,,\n")
    assert frame["open"][1] == pd.Timestamp("2010-01-01 12:00")
    assert cup_length_days(frame)[1] == 7.25


def test_month_first_only_where_the_header_says_so(read):
    frame = read("open (mm/dd/yyyy),close (mm/dd/yyyy),poc\n04/03/2009,04/17/2009,6\n")
    assert frame.loc[1, "open"] == pd.Timestamp("2009-04-03")


# -- the real record -----------------------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize(
    ("depth", "n", "counts"), [(1000, 57, (55, 40, 24, 38)), (3000, 176, (175, 154, 137, 148)), (4700, 63, (63, 63, 60, 63))]
)
def test_real_record_by_depth(depth, n, counts):
    frame = read_flux(SHARED, depth=depth)
    assert len(frame) == n and "depth" not in frame
    assert tuple(frame[list(COLUMNS)].notna().sum()) == counts
    assert frame["open"].is_monotonic_increasing
    assert (cup_length_days(frame) > 0).all() and cup_length_days(frame).max() <= 56


@needs_shared
def test_real_record_values_and_defects():
    frame = read_flux(SHARED)
    first = frame[frame["open"] == "1997-03-23"]
    assert first[list(COLUMNS)].to_numpy().tolist() == [[15.5, 0.96, 1.06, 0.16]]
    problems = frame.attrs["problems"]
    assert "row 195: the cup of row 194 again" in problems
    assert "row 196: overlaps the cup of row 194 by 14 days" in problems
    assert "row 217: gap: 210 days without a cup since row 216" in problems
    assert problems[0] == "not used: 'bSiO2_mg_m2_d', 'CaCO3_mg_m2_d', 'lithogenic_mg_m2_d'"
    assert len(problems) == 8
    assert len(read_flux(SHARED, drop=True)) == 174


@needs_shared
def test_real_record_at_all_depths():
    frame = read_flux(SHARED, depth=None)
    assert len(frame) == 296
    assert frame["depth"].value_counts().to_dict() == {3000.0: 176, 4700.0: 63, 1000.0: 57}
    # a cup at 1000 m does not overlap one at 3000 m
    assert sum("overlap" in line or "again" in line for line in frame.attrs["problems"]) == 2


@needs_shared
def test_real_record_has_no_such_depth():
    with pytest.raises(InputError, match=r"within 250 m of 2000 m.*1000 m \(57 rows\), 3000 m \(176 rows\), 4700 m \(63 rows\)"):
        read_flux(SHARED, depth=2000)


# -- depth ---------------------------------------------------------------------------------------------------


def test_depths_near_the_nominal_one_are_one_trap(read):
    text = "open,close,depth_m,poc\n2010-01-01,2010-01-15,3050,1\n2010-01-15,2010-01-29,2930,2\n2010-01-15,2010-01-29,1000,9\n"
    assert read(text)["poc"].tolist() == [1, 2]
    assert read(text, depth=1100)["poc"].tolist() == [9]


def test_problems_at_other_depths_do_not_matter(read):
    text = "open,close,depth_m,poc\n2010-01-01,2010-01-15,3000,1\n2010-01-01,2010-01-15,1000,lost\n"
    assert read(text).attrs["problems"] == []


def test_select_depth():
    assert select_depth([1000, -2800, 3249, 3251, np.nan], 3000).tolist() == [False, True, True, False, False]
    assert select_depth([1000, 3000], 2900, tolerance=100).tolist() == [False, True]
    with pytest.raises(InputError, match="no depth at all"):
        select_depth([np.nan], 3000)


# -- units ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        ("mg/m2/day", 1),
        ("mg m-2 d-1", 1),
        ("(mg m**-2 day**-1)", 1),
        ("[mg m^-2 d^-1]", 1),
        ("mg m⁻² d⁻¹", 1),
        ("mg.m-2.d-1", 1),
        ("mg C m-2 d-1", 1),
        ("_mg_m2_d", 1),
        ("g/m2/d", 1000),
        ("g m-2 yr-1", 1000 / 365.25),
        ("mg m-2 a-1", 1 / 365.25),
        ("µg/m²/d", 1e-3),
        ("mmol/m2/d", 12.011),
        ("mmol C m-2 d-1", 12.011),
        ("umol m-2 d-1", 12.011e-3),
        ("mol m-2 yr-1", 12011 / 365.25),
    ],
)
def test_units(read, unit, factor):
    frame = read(f"open,close,poc {unit}\n2010-01-01,2010-01-15,2\n")
    assert frame.loc[1, "poc"] == pytest.approx(2 * factor, rel=1e-12)
    assert not frame.attrs["problems"]


def test_nitrogen_has_its_own_molar_mass(read):
    frame = read("open,close,poc (mmol/m2/d),TPN (mmol/m2/d)\n2010-01-01,2010-01-15,1,1\n")
    assert frame.loc[1, ["poc", "tpn"]].tolist() == [12.011, 14.007]


@pytest.mark.parametrize("unit", ["(%)", "(mg)", "mg m-2", "mg m-2 h-1", "lb/acre/day", "(ppm)"])
def test_unknown_unit(refused, unit):
    line = refused(f"open,close,dry_weight,poc {unit}\n2010-01-01,2010-01-15,9,2\n")
    assert f"column 'poc {unit}'" in line and "mg m-2 d-1" in line


def test_moles_of_dry_weight(refused):
    assert "dry_weight cannot be in mmol" in refused("open,close,Dry Weight Flux mmol/m2/d\n2010-01-01,2010-01-15,9\n")


def test_a_flux_as_calcium_carbonate_is_not_read_and_told(read):
    """8.33 times as much as the flux of its carbon."""
    record = read("open,close,PIC flux (mg CaCO3 m-2 d-1),POC flux (mg m-2 d-1)\n" + cups("100,5", "90,4", "80,3"))
    assert record["pic"].isna().all() and record["poc"].tolist() == [5.0, 4.0, 3.0]
    assert any("not used: 'PIC flux (mg CaCO3 m-2 d-1)'" in line for lines in record.attrs.values() for line in lines)


def test_header_without_unit_is_said(read):
    problems = read("open,close,Particulate Organic Carbon Flux\n2010-01-01,2010-01-15,9\n").attrs["problems"]
    assert problems == ["column 'Particulate Organic Carbon Flux' names no unit: taken as mg m-2 d-1"]


def test_of_share_and_flux_the_flux(read):
    assert read("open,close,POC %,POC mg/m2/d\n2010-01-01,2010-01-15,9,4\n").loc[1, "poc"] == 4


# -- hard problems -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "said", "rows_left"),
    [
        ("2010-02-01,2010-02-15,9,trace,1", "row 3: poc 'trace' is not a number", 2),
        ("2010-02-01,2010-02-15,9,<0.1,1", "row 3: poc '<0.1' is not a number", 2),
        ("2010-02-01,2010-02-15,inf,1,1", "row 3: dry_weight 'inf' is not a number", 2),
        ("2010-02-01,2010-02-15,9,1_0,1", "row 3: poc '1_0' is not a number", 2),
        ("2010-02-30,2010-03-15,9,1,1", "row 3: open '2010-02-30' is not a date (YYYY-MM-DD or dd/mm/yyyy)", 1),
        ("2010-02-01,spring,9,1,1", "row 3: close 'spring' is not a date", 1),
        ("31/12/2010,12/31/2010,9,1,1", "row 3: close '12/31/2010' is not a date", 1),
        ("2010-02-01,,9,1,1", "row 3: no close date", 1),
        ("0210-02-01,2010-02-15,9,1,1", "row 3: open '0210-02-01' is not a date", 1),
        ("2010-02-15,2010-02-01,9,1,1", "row 3: close 2010-02-01 is not after open 2010-02-15", 1),
        ("2010-02-01,2010-02-01,9,1,1", "row 3: close 2010-02-01 is not after open 2010-02-01", 1),
        ("2010-02-01,2010-02-15,9,5,1,0,7", "row 3: 7 cells where the header has 5 (a decimal comma?)", 1),
    ],
)
def test_hard_problems(read, refused, row, said, rows_left):
    text = PLAIN + cups("100,5,6") + row + "\n"
    line = refused(text)
    assert said in line and "--drop-bad" in line and "more" not in line
    frame = read(text, drop=True)
    assert len(frame) == rows_left
    assert any(said in problem and ("left out" in problem or "missing" in problem) for problem in frame.attrs["problems"])
    if rows_left == 2:  # only the value is gone
        assert frame.loc[2, list(FLUXES)].isna().sum() == 1


def test_first_hard_problem_and_the_number_of_others(refused):
    line = refused(PLAIN + cups("a,5,6", "1,b,6", "1,2,c", "1,1,-1"))
    assert "row 2: dry_weight 'a'" in line and "(and 2 more such problems)" in line


def test_nothing_left(refused):
    assert "no cup with an opening and a closing date" in refused(PLAIN + "x,y,1,1,1\n2010-02-01,z,1,1,1\n", drop=True)
    assert "no rows" in refused(PLAIN)


# -- soft problems -------------------------------------------------------------------------------------------


def test_negative_flux(read):
    text = PLAIN + cups("100,5,-0.25", "100,5,6")
    kept, dropped = read(text), read(text, drop=True)
    assert kept.loc[1, "pic"] == -0.25 and kept.attrs["problems"] == ["row 2: pic -0.25 is negative"]
    assert np.isnan(dropped.loc[1, "pic"]) and dropped.loc[1, "poc"] == 5
    assert dropped.attrs["problems"] == ["row 2: pic -0.25 is negative; set to missing"]


@pytest.mark.parametrize(("pic", "bad"), [(12.0, False), (12.1, True)])
def test_pic_as_carbonate_against_dry_weight(read, pic, bad):
    # 100 / 8.33 = 12.005
    text = PLAIN + cups(f"100,5,{pic}")
    frame = read(text)
    assert frame.loc[1, "pic"] == pic
    assert frame.attrs["problems"] == (["row 2: pic 12.1 as CaCO3 (x 8.33) is 100.8, more than dry_weight 100"] if bad else [])
    assert np.isnan(read(text, drop=True).loc[1, "pic"]) == bad


def test_overlap_and_duplicate(read):
    text = PLAIN + cups("1,,", "2,,") + "2010-01-15,2010-01-29,3,,\n2010-01-26,2010-02-09,4,,\n2010-01-29,2010-02-12,5,,\n"
    kept, dropped = read(text), read(text, drop=True)
    assert kept["dry_weight"].tolist() == [1, 2, 3, 4, 5]
    assert kept.attrs["problems"] == [
        "row 4: the cup of row 3 again",
        "row 5: overlaps the cup of row 3 by 3 days",
        "row 6: overlaps the cup of row 5 by 11 days",
    ]
    # once row 5 is gone, row 6 overlaps nothing
    assert dropped["dry_weight"].tolist() == [1, 2, 5] and dropped.index.tolist() == [1, 2, 3]


def test_cups_that_touch_neither_overlap_nor_gap(read):
    assert read(PLAIN + cups("1,,", "2,,", "3,,")).attrs["problems"] == []


def test_gap_longer_than_the_median_cup(read):
    text = PLAIN + cups("1,,", "2,,") + cups("3,,", first="2010-02-12") + cups("4,,", first="2010-03-13")
    # 14 days after row 3 is no gap, 15 days after row 4 is one
    assert read(text).attrs["problems"] == ["row 5: gap: 15 days without a cup since row 4"]
    assert len(read(text, drop=True)) == 4


@pytest.mark.parametrize("fill", ["-99", "-999", "-9999.0", "-99.9", "-99.99", "-999.00"])
def test_fill_values(read, fill):
    frame = read(PLAIN + cups(f"100,{fill},6"))
    assert np.isnan(frame.loc[1, "poc"])
    assert "fill value" in frame.attrs["problems"][0] and len(frame.attrs["problems"]) == 1


@pytest.mark.parametrize("missing", ["", " ", "NaN", "nan", "NA", "n/a", "null"])
def test_missing_values_are_no_problem(read, missing):
    frame = read(PLAIN + cups(f"100,{missing},6"))
    assert np.isnan(frame.loc[1, "poc"]) and not frame.attrs["problems"]


# -- files that are none -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the first row holds nothing"),
        ("a,b\n1,2\n", "the first row holds a, b"),
        ("open,poc\n2010-01-01,2\n", "no columns of opening and closing dates"),
        ("open,close,salinity\n2010-01-01,2010-01-15,35\n", "no column of dry_weight, poc, pic"),
        ("open,close,poc,POC flux\n2010-01-01,2010-01-15,3,3\n", "several columns of poc: 'poc', 'POC flux'"),
        ("open\0,close", "not a text file"),
    ],
)
def test_not_a_record(refused, text, said):
    assert said in refused(text)


def test_no_such_file_and_folder(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_flux(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        read_flux(tmp_path)


# -- workbooks -----------------------------------------------------------------------------------------------


def test_workbook_without_openpyxl(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    path = tmp_path / "flux.xlsx"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(InputError, match=r"pip install 'catchment-toolkit\[workbook\]', or export the sheet as CSV"):
        read_flux(path)


def test_damaged_workbook(csv_file):
    with pytest.raises(InputError, match=r"cannot be read as a workbook.*export the sheet as CSV"):
        read_flux(csv_file("PK\x03\x04 and so on", name="flux.xlsx"))


def test_workbook(tmp_path):
    """BODC's layout: a sheet without a record first, two header rows, dates as dates or as text, empty cells."""
    header = BODC.strip().split(",")
    rows = [
        ["PAP-SO", *[np.nan] * 6],
        [name.rsplit(" ", 1)[0] for name in header],
        [name.rsplit(" ", 1)[1] for name in header],
        [pd.Timestamp("2009-04-03"), "17/04/2009", np.nan, 120, 6.5, np.nan, 7],
        [pd.Timestamp("2009-04-17"), pd.Timestamp("2009-05-01"), pd.NaT, 90, "lost", 0.8, None],
    ]
    path = tmp_path / "flux.xlsx"
    with pd.ExcelWriter(path, engine="openpyxl") as book:
        for name, sheet in (("notes", pd.DataFrame()), ("flux", pd.DataFrame(rows, dtype=object))):
            sheet.to_excel(book, sheet_name=name, header=False, index=False)
    with pytest.raises(InputError, match="row 5: poc 'lost' is not a number"):
        read_flux(path)
    frame = read_flux(path, drop=True)
    assert frame["dry_weight"].tolist() == [120, 90]
    assert frame.loc[1, "close"] == pd.Timestamp("2009-04-17")
    assert frame.loc[1, "poc"] == 6.5 and frame["pic"].isna().tolist() == [False, True]


# -- writing -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [0, 6])
@pytest.mark.parametrize("with_tpn", [False, True])
def test_written_record_reads_back_the_same(tmp_path, hours, with_tpn):
    rng = np.random.default_rng(5)
    edges = pd.date_range("2009-01-01", periods=31, freq="14D", unit="ns") + pd.Timedelta(hours=hours)
    frame = pd.DataFrame({"open": edges[:-1], "close": edges[1:]}, index=pd.RangeIndex(1, 31, name="cup"))
    frame["dry_weight"] = 100 + 50 * rng.random(30)
    frame["poc"], frame["pic"] = 5 * rng.random((2, 30))
    frame["tpn"] = rng.random(30) if with_tpn else np.nan
    frame.loc[7, "poc"] = np.nan
    path = tmp_path / "new" / "flux.csv"
    write_flux(path, frame)
    header = path.read_text().splitlines()[0]
    assert header == "open,close,dry_weight,poc,pic" + (",tpn" if with_tpn else "")
    assert ("T06:00:00" in path.read_text()) == bool(hours)
    back = read_flux(path)
    assert back.attrs["problems"] == []
    pd.testing.assert_frame_equal(back, frame, check_exact=True)


def test_writing_refuses_what_it_cannot_write(tmp_path):
    with pytest.raises(InputError, match="no column 'pic'"):
        write_flux(tmp_path / "flux.csv", pd.DataFrame(columns=["open", "close", "dry_weight", "poc"]))
    frame = pd.DataFrame({"open": ["2010-01-01"], "close": ["2010-01-15"], "dry_weight": [1], "poc": [1], "pic": [1]})
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_flux(tmp_path / "file" / "flux.csv", frame)
    write_flux(tmp_path / "flux.csv", frame)
    assert (tmp_path / "flux.csv").read_text() == PLAIN + "2010-01-01,2010-01-15,1.0,1.0,1.0\n"
