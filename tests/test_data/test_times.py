"""Times as numbers, at any instant that a record can have."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from data.times import EPOCH, SECONDS_ATTRS, seconds, whole_seconds

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
