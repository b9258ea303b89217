"""The series that comes with statsmodels, as the feed `macrodata` wants it: real data without a network."""

NAME = "macrodata"
COLUMNS = ["realgdp", "realcons", "realinv"]


def macrodata_csv() -> bytes:
    """203 quarters, 1959-01-01 to 2009-07-01: date (the quarter's first day), realgdp, realcons, realinv.

    In billions of chained 2005 dollars; the same bytes at every call.
    """
    import statsmodels.datasets.macrodata as source

    frame = source.load_pandas().data
    year, month = frame["year"].astype(int), frame["quarter"].astype(int) * 3 - 2
    dates = [f"{y}-{m:02d}-01" for y, m in zip(year, month, strict=True)]
    frame.insert(0, "date", dates)
    return bytes(frame[["date", *COLUMNS]].to_csv(index=False, lineterminator="\n").encode())
