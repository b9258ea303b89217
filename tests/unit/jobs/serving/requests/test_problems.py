"""What callers hear of others' errors."""

import pytest

from jobs.serving.requests.problems import without_paths


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (
            "FileNotFoundError: [Errno 2] No such file: '/srv/models/x.bin'",
            "FileNotFoundError: [Errno 2] No such file: '…'",
        ),
        ("cannot open /home/me/a b.txt: denied", "cannot open … b.txt: denied"),
        ("/tmp/x", "…"),
        ("try it: load_model('models:/mean/1') or store:/a/1.0.0", None),
        ("https://host/a/b and s3://bucket/a/b", None),
        ("1/2 of 3/4, km/h, and/or, found '/'", None),
        ("fix schemas/wine.yaml", None),
        ("", None),
    ],
)
def test_paths_of_this_machine_are_left_out_and_uris_stay(said: str, heard: str | None) -> None:
    assert without_paths(said) == (said if heard is None else heard)
