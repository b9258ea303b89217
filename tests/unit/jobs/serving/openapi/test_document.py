"""The files of Swagger UI are those of its package, and its page asks nobody else."""

import hashlib
import re

from jobs.serving.openapi.document import PAGE, STATIC


def test_the_files_of_swagger_ui_are_unchanged() -> None:
    lines = [line.split() for line in (STATIC / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in sums} == sums


def test_the_page_names_no_other_host_and_each_file_it_names_is_there() -> None:
    named = re.findall(r'(?:src|href)="([^"]+)"', PAGE)
    assert [name for name in named if not (STATIC.parent / name).is_file()] == []
