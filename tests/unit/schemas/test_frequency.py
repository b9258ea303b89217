"""The times of the steps after a series."""

import numpy as np
import pytest

from schemas.frequency import Frequency


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
