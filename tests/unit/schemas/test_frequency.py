"""The times of the steps after a series."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from schemas.frequency import Frequency
from schemas.local_clock import local_times, utc_times


@pytest.mark.parametrize(
    ("frequency", "times", "after"),
    [
        ("P3M", ["2009-04-01", "2009-07-01"], ["2009-10-01", "2010-01-01"]),
        ("P3M", ["2009-03-31", "2009-06-30"], ["2009-09-30", "2009-12-31"]),
        ("P1M", ["2023-12-31", "2024-01-31"], ["2024-02-29", "2024-03-31"]),
        ("P1M", ["2023-12-30", "2024-01-30"], ["2024-02-29", "2024-03-30"]),
        ("P1M", ["2024-01-30", "2024-02-29"], ["2024-03-30", "2024-04-30"]),
        ("P12M", ["2020-02-29"], ["2021-02-28", "2022-02-28"]),
        ("P7D", ["1969-12-25"], ["1970-01-01", "1970-01-08"]),
    ],
)
def test_the_times_after_some_dates(frequency: str, times: list[str], after: list[str]) -> None:
    days = np.array(times, "datetime64[D]").astype(np.int64)
    found = Frequency.parse(frequency).after(days, 2, are_days=True)
    assert found.astype("datetime64[D]").astype(str).tolist() == after
    assert Frequency.parse(frequency).follows(np.append(days[-1], found), are_days=True).all()


@pytest.mark.parametrize(
    ("frequency", "time", "after"),
    [
        ("PT3600S", "2026-01-01T23:30:00.000001", ["2026-01-02T00:30:00.000001", "2026-01-02T01:30:00.000001"]),
        ("P1M", "1960-01-31T12:00:00.000000", ["1960-02-29T12:00:00.000000", "1960-03-31T12:00:00.000000"]),
    ],
)
def test_the_times_after_a_time_of_day(frequency: str, time: str, after: list[str]) -> None:
    micros = np.array([time], "datetime64[us]").astype(np.int64)
    found = Frequency.parse(frequency).after(micros, 2, are_days=False)
    assert found.astype("datetime64[us]").astype(str).tolist() == after


def micros(*times: str) -> np.ndarray:
    return np.array(times, "datetime64[us]").astype(np.int64)


@pytest.mark.parametrize("text", ["B", "3B", "ME", "BME", "2BQE", "YE", "P1W", "PT15M", "h", "P1D Europe/Berlin"])
def test_what_is_stated_is_read_again_from_metadata(text: str) -> None:
    found = Frequency.parse(text)
    assert Frequency.parse(found.text) == found


@pytest.mark.parametrize(
    "text", ["", "P", "P1DT", "P0D", "B0", "0B", "X", "P1D Europe/Nowhere", "P1D ../etc", "P9999999999D"]
)
def test_what_is_no_frequency_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no (frequency|zone)"):
        Frequency.parse(text)


def test_business_days_leave_out_saturdays_and_sundays() -> None:
    frequency = Frequency.parse("B")
    times = micros("2024-02-29T16", "2024-03-01T16", "2024-03-04T16", "2024-03-05T17", "2024-03-07T17", "2024-03-09T17")
    assert frequency.follows(times, are_days=False).tolist() == [True, True, False, False, False]
    days = times // 86_400_000_000
    assert frequency.follows(days, are_days=True).tolist() == [True, True, True, False, False]
    after = frequency.after(times[:2], 3, are_days=False)
    assert after.tolist() == micros("2024-03-04T16", "2024-03-05T16", "2024-03-06T16").tolist()
    pandas = pd.bdate_range("1677-01-01", periods=3000, unit="us").to_numpy().astype(np.int64)
    assert frequency.follows(pandas, are_days=False).all()
    np.testing.assert_array_equal(frequency.after(pandas[:9], 2991, are_days=False), pandas[9:])


@pytest.mark.parametrize("name", ["ME", "BME", "QE", "BQE", "YE", "BYE", "MS", "QS", "W", "h"])
def test_the_names_of_pandas_give_the_times_of_pandas(name: str) -> None:
    times = pd.date_range("1999-12-25T07:30", periods=60, freq=name).as_unit("us").to_numpy().astype(np.int64)
    frequency = Frequency.parse(name)
    assert frequency.follows(times, are_days=False).all()
    np.testing.assert_array_equal(frequency.after(times[:2], 58, are_days=False), times[2:])
    both = np.stack([times[:2], times[20:22]])
    np.testing.assert_array_equal(frequency.after(both, 9, are_days=False), [times[2:11], times[22:31]])


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"])
@pytest.mark.parametrize("year", [1890, 1999, 2024, 2036, 2050, 2300])
def test_local_midnights_are_a_day_apart_by_the_clock_of_their_zone(zone: str, year: int) -> None:
    local = [datetime(year, 1, 1) + timedelta(days=day) for day in range(500)]  # noqa: DTZ001  the zone comes next
    utc = [time.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC).replace(tzinfo=None) for time in local]
    times = np.array(utc, "datetime64[us]").astype(np.int64)
    days = Frequency.parse("P1D", zone)
    assert days.follows(times, are_days=False).all()  # also where the clocks skip midnight, as in Cairo
    after = days.after(times[:2], 498, are_days=False)
    assert (after == times[2:]).all()
    months = Frequency.parse("P1M", zone)
    firsts = times[[day for day, time in enumerate(local) if time.day == 1]]
    assert months.follows(firsts, are_days=False).all()
    np.testing.assert_array_equal(months.after(firsts[:1], len(firsts) - 1, are_days=False), firsts[1:])


@pytest.mark.parametrize(
    ("zone", "year", "hour"),
    [
        ("Africa/Cairo", 2024, 0),
        ("Africa/Cairo", 2050, 0),
        ("America/Sao_Paulo", 2017, 0),
        ("America/Sao_Paulo", 2018, 0.5),
        ("America/Havana", 2023, 0),
        ("Atlantic/Azores", 2300, 0.25),
        ("Europe/Berlin", 2024, 2.5),
        ("Africa/Cairo", 2024, 1),
    ],
)
def test_days_after_one_whose_time_the_clocks_skip_are_at_that_time_again(zone: str, year: int, hour: float) -> None:
    local = [datetime(year, 1, 1) + timedelta(days=day, hours=hour) for day in range(370)]  # noqa: DTZ001
    shown = np.array(local, "datetime64[us]").astype(np.int64)
    times = utc_times(shown, zone)
    days = Frequency.parse("P1D", zone)
    skips = np.flatnonzero(local_times(times, zone) != shown)
    assert len(skips) == (hour != 1)
    for at in range(2, 366):
        assert days.after(times[at - 2 : at], 4, are_days=False).tolist() == times[at : at + 4].tolist(), local[at]
        if hour == 0:  # nothing else says which of the skipped times an observation is of
            assert days.after(times[at - 1 : at], 4, are_days=False).tolist() == times[at : at + 4].tolist(), local[at]


@pytest.mark.parametrize("year", [2024, 2050])
def test_a_time_that_the_clocks_skip_is_when_they_are_put_forward(year: int) -> None:
    sunday = next(31 - back for back in range(7) if datetime(year, 3, 31 - back).weekday() == 6)  # noqa: DTZ001
    two = np.datetime64(f"{year}-03-{sunday}T02:00", "us").astype(np.int64)
    minutes = np.arange(0, 60, 7) * 60_000_000
    forward = np.datetime64(f"{year}-03-{sunday}T01:00", "us").astype(np.int64)
    assert set(utc_times(two + minutes, "Europe/Berlin").tolist()) == {forward}
