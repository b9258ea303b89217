"""Pollutions of a cell that has a date or a time."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple

from benchmarks.pollute.draft import Cell, Value
from benchmarks.pollute.kinds import Kind

BAD = "bad_type"


# What a reader that takes more than the feed says may make of a text.
_MEANT: dict[str, Value] = {
    **dict.fromkeys(("2024-02-01", "01.02.24", "01/02/2024"), date(2024, 2, 1)),
    **dict.fromkeys(("31.12.2024", "12/31/2024"), date(2024, 12, 31)),
    **dict.fromkeys(
        (
            "20240101", "2024-1-1", "2024-01", "Jan 1 2024", "2024-01-01T00:00:00", "2024-W01-1",
            "2024/01/01", "2024-01-01Z",
        ),
        date(2024, 1, 1),
    ),
    **dict.fromkeys(
        (
            "2024-01-01t10:00:00", "2024-01-01T10:00:00z", "2024-01-01 10:00:00 UTC", "2024-01-01T10:00:00[UTC]",
            "1704103200",
        ),
        datetime(2024, 1, 1, 10, tzinfo=UTC),
    ),
    "2024-01-01T10:00:00 +02:00": datetime(2024, 1, 1, 8, tzinfo=UTC),
    "2024-01-01T10:00:00+2": datetime(2024, 1, 1, 8, tzinfo=UTC),
    "2024-01-01T24:00:00": datetime(2024, 1, 2, tzinfo=UTC),
    "01.02.2024 10:00": datetime(2024, 2, 1, 10, tzinfo=UTC),
    "2024-02-01 10:00:00": datetime(2024, 2, 1, 9, tzinfo=UTC),
    "01.02.2024 10:00:00.5": datetime(2024, 2, 1, 9, 0, 0, 500000, tzinfo=UTC),
    "01.02.2024": datetime(2024, 1, 31, 23, tzinfo=UTC),
}  # fmt: skip


class Text(NamedTuple):
    """What a pollution makes of a cell."""

    name: str
    text: str
    value: Value = None  # of a refused one: what another reader may make of it
    reason: str = ""
    is_quoted: bool = False
    raw: str | None = None


def dates(cell: Cell, column: Any, kind: Kind) -> Iterator[Text]:
    """Of a date."""
    value: Any = cell.value
    wrong: tuple[str, ...]
    if "format" in column:  # %d.%m.%Y
        yield Text("days and months of one digit", "1.2.2024", date(2024, 2, 1))
        yield Text("a leap day", "29.02.2024", date(2024, 2, 29))
        wrong = (
            "2024-02-01",
            "30.02.2024",
            "01.13.2024",
            "29.02.2023",
            "01.02.24",
            "01/02/2024",
            "1.2.2024 ?",
            "00.01.2024",
        )
    else:
        yield Text("a leap day", "2024-02-29", date(2024, 2, 29))
        yield Text("the first day", "0001-01-01", date(1, 1, 1))
        yield Text("the last day", "9999-12-31", date(9999, 12, 31))
        wrong = (
            "31.12.2024", "12/31/2024", "2024-13-01", "2024-02-30", "2023-02-29", "10000-01-01", "0000-01-01",
            "20240101",
            "2024-1-1", "2024-01", "24-01-01", "Jan 1 2024", "2024-01-01T00:00:00", "2024-W01-1", "45292",
            "-2024-01-01",
            "2024/01/01", "2024-01-01Z",
        )  # fmt: skip
    for text in wrong:
        yield Text(f"a date as {text}", text, _MEANT.get(text), BAD)
    yield Text("a word after it", f"{cell.text} BC", reason=BAD)
    yield Text("the same day again", cell.text, value)


def timestamps(cell: Cell, column: Any, kind: Kind) -> Iterator[Text]:
    """Of a time."""
    value: Any = cell.value
    if "format" in column:
        yield Text("a time that the clocks skip", "31.03.2024 02:30:00", reason=BAD)
        yield Text("a time that the clocks say twice", "27.10.2024 02:30:00", reason=BAD)
        yield Text("hours of one digit", "1.2.2024 9:05:07", datetime(2024, 2, 1, 8, 5, 7, tzinfo=UTC))
        for text in (
            "2024-02-01 10:00:00",
            "01.02.2024",
            "01.02.2024 25:00:00",
            "01.02.2024 10:00",
            "01.02.2024 10:00:00.5",
        ):
            yield Text(f"a time as {text}", text, _MEANT.get(text), BAD)
        return
    stamp = value.strftime("%Y-%m-%dT%H:%M:%S")
    yield Text("a T and a Z", f"{stamp}Z", value)
    yield Text("six digits of a second", f"{stamp}.123456", value.replace(microsecond=123456))
    yield Text("one digit of a second", f"{stamp}.5Z", value.replace(microsecond=500000))
    for hours, minutes in ((2, 0), (-5, 0), (5, 45), (-23, -59)):
        zone = timezone(timedelta(hours=hours, minutes=minutes))
        offset = value.astimezone(zone).strftime("%z")
        yield Text(f"an offset of {offset}", value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") + offset, value)
        yield Text(f"an offset of {offset} with a colon", value.astimezone(zone).isoformat(), value)
    yield Text("a date alone", "2024-05-06", datetime(2024, 5, 6, tzinfo=UTC))
    yield Text("hours and minutes alone", "2024-05-06 07:08", datetime(2024, 5, 6, 7, 8, tzinfo=UTC))
    takes_more = kind.csv.get("fractions") == "truncate"
    for digits in ("1234567", "123456789", "99999999"):
        cut = value.replace(microsecond=int(digits[:6]))
        name = f"{len(digits)} digits of a second"
        yield Text(name, f"{stamp}.{digits}Z", cut, "" if takes_more else BAD)
    for text in (
        f"{stamp}.1234567890Z", f"{stamp}.", f"{stamp},5", "2024-01-01T24:00:00", "2024-01-01T23:59:60",
        "2024-01-01T10:60:00",
        "2024-01-01T10:00:00+24:00", "2024-01-01T10:00:00 +02:00", "2024-01-01T10:00:00+2", "2024-01-01T10:00:00z",
        "2024-01-01t10:00:00", "01.02.2024 10:00", "1/2/2024 10:00 AM", "1704103200", "2024-02-30 10:00:00",
        "2024-01-01 10:00:00 UTC", "2024-01-01T10:00:00[UTC]", "0000-01-01 00:00:00", "0001-01-01T00:00:00+01:00",
    ):  # fmt: skip
        yield Text(f"a time as {text}", text, _MEANT.get(text), BAD)
