"""Times as numbers, at any instant that a record can have; gaps in a record, clocks without dates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import InputError
from data.record_times import decode_times
from data.times import EPOCH, SECONDS_ATTRS, gaps, nearest, seconds, whole_seconds

#: Nanoseconds since 1970 in the years 1678 to 2261.
INSTANTS = st.integers(-9_214_560_000 * 10**9, 9_214_646_400 * 10**9)
EXACT = 2**62 // 10**9  # whole seconds that a double of nanoseconds can hold: to 2116


@given(nanoseconds=st.lists(INSTANTS, max_size=5))
def test_seconds_are_those_since_1970_to_the_precision_of_a_double(nanoseconds):
    found = seconds(np.array(nanoseconds, "datetime64[ns]"))
    assert found.dtype == np.float64 and found.shape == (len(nanoseconds),)
    for one, number in zip(found, nanoseconds, strict=True):
        assert abs(one - number / 1e9) <= 2e-6
        assert abs(number) > 2**51 * 1000 or abs(one - number / 1e9) <= 3e-7  # within seventy years of 1970


@given(nanoseconds=INSTANTS)
def test_whole_seconds_are_the_last_that_has_begun(nanoseconds):
    instant = np.array(nanoseconds, "datetime64[ns]")
    found = whole_seconds(instant)
    assert found.dtype == np.int64 and found == nanoseconds // 10**9
    assert EPOCH + np.timedelta64(int(found), "s") == instant.astype("datetime64[s]")


@given(whole=st.integers(-EXACT, EXACT - 10**6), unit=st.sampled_from(["s", "ms", "us", "ns"]), apart=st.integers(0, 10**6))
def test_numbers_come_back_whatever_unit_the_times_had_and_keep_order_and_distance(whole, unit, apart):
    times = np.array([whole, whole + apart], "datetime64[s]").astype(f"datetime64[{unit}]")
    np.testing.assert_array_equal(whole_seconds(times), [whole, whole + apart])
    np.testing.assert_array_equal(seconds(times), [whole, whole + apart])
    assert SECONDS_ATTRS["units"] == f"seconds since {str(EPOCH)[:10]}"


def test_a_gap_is_an_interval_longer_than_one_and_a_half_usual_ones():
    days = np.array([0, 1, 2, 3, 5, 6, 7.5, 8.5], "f8")
    times = np.datetime64("2001-01-01", "ns") + (days * 86400e9).astype("timedelta64[ns]")
    assert gaps(times).tolist() == [3]  # 1.5 days where 1 is usual is none
    assert gaps(times[:2]).size == gaps(times[:0]).size == 0
    assert gaps(times.astype("datetime64[s]")).tolist() == [3]


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "standard"])
def test_a_clock_of_year_1_is_counted_from_the_origin_whatever_its_calendar(calendar):
    notes, origin = [], np.datetime64("2000-01-01", "ms")
    found, dated = decode_times("x", np.array([0.0, 1.5]), "days since 0001-01-01", calendar, origin, notes)
    assert found.tolist() == (origin + np.array([0, 36], "m8[h]")).astype("M8[ns]").tolist() and not dated
    assert "no date" in notes[0]


def test_another_calendar_than_the_standard_one_is_refused_where_it_has_dates():
    with pytest.raises(InputError, match="calendar '360_day'"):
        decode_times("x", np.array([0.0]), "days since 1990-01-01", "360_day", np.datetime64("2000-01-01"), [])
    with pytest.raises(InputError, match="calendar 'mayan'"):
        decode_times("x", np.array([0.0]), "days since 1990-01-01", "mayan", np.datetime64("2000-01-01"), [])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=8, unique=True), st.integers(-5, 45))
def test_the_nearest_instant_is_that_of_least_distance_and_the_earlier_of_two(hours, wanted):
    times = np.datetime64("2001-01-01", "s") + np.sort(hours) * np.timedelta64(3600, "s")
    instant = np.datetime64("2001-01-01", "ns") + wanted * np.timedelta64(3600, "s")
    distance = [abs(hour - wanted) for hour in sorted(hours)]
    assert int(nearest(times, instant)) == distance.index(min(distance))
    assert int(nearest(times, instant, later=True)) == len(distance) - 1 - distance[::-1].index(min(distance))
    assert nearest(times, np.array([[instant, instant]])).shape == (1, 2)
