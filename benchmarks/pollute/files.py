"""Pollutions of the whole file: line ends, encoding, compression, size, name, time, and what kind of entry it is."""

import bz2
import gzip
from collections.abc import Callable
from functools import partial
from random import Random

import pyarrow as pa

from benchmarks.pollute.draft import Draft, Pollution, Record, registered

FILES: list[Pollution] = []

UNREADABLE, ENCODING, MISSING = "unreadable", "bad_encoding", "missing_column"
YEAR = 365.25 * 86_400


def file(*claims: str) -> Callable[[Pollution], Pollution]:
    """Register a pollution of these parts of a file; it returns False where it cannot be done."""
    return partial(registered, FILES, "file", claims)


@file("ends")
def crlf(draft: Draft, random: Random) -> bool:
    draft.end = "\r\n"
    return True


@file("ends")
def cr_alone(draft: Draft, random: Random) -> bool:
    draft.end = "\r"
    return True


@file("tail")
def no_last_line_end(draft: Draft, random: Random) -> bool:
    if not draft.records:
        return False
    draft.claimed.add("no last line end")
    return True


@file("tail")
def empty_lines_at_its_end(draft: Draft, random: Random) -> bool:
    draft.tail = draft.end * random.randint(1, 4)
    return True


@file("tail")
def a_comment_without_line_end_at_its_end(draft: Draft, random: Random) -> bool:
    if not draft.kind.comment:
        return False
    draft.tail = f"{draft.kind.comment} checked"
    return True


@file("tail")
def the_end_sign_of_dos(draft: Draft, random: Random) -> bool:
    sign = Record([], reasons=frozenset({"too_few_fields"}), shape=lambda fields, kind: "\x1a", is_polluted=True)
    draft.records.append(sign)
    draft.claimed.add("no last line end")
    return True


@file("tail")
def nuls_at_its_end(draft: Draft, random: Random) -> bool:
    """As a file has that was cut when the power failed."""
    nuls = Record([], reasons=frozenset({UNREADABLE}), shape=lambda fields, kind: "\0" * 64, is_polluted=True)
    nuls.has_nul = True
    draft.records.append(nuls)
    draft.claimed.add("no last line end")
    return True


@file("encoding")
def a_byte_order_mark(draft: Draft, random: Random) -> bool:
    if draft.encoding != "utf-8":
        return False
    draft.encoding = "utf-8-sig"
    return True


@file("encoding", "bytes")
def another_encoding(draft: Draft, random: Random) -> bool:
    other = random.choice(["utf-16", "utf-16-le", "utf-32", "cp037"])
    if draft.kind.encoding == "utf-16" or (draft.kind.encoding != "utf-8" and other == "cp037"):
        return False
    if not draft.kind.has_header:  # each of its lines is a row that is refused
        return False
    draft.encoding = other
    draft.refuse(ENCODING, UNREADABLE, MISSING, rows=False)
    return True


@file("encoding", "bytes")
def utf8_where_the_feed_says_utf16(draft: Draft, random: Random) -> bool:
    if draft.kind.encoding != "utf-16":
        return False
    draft.encoding = "utf-8"
    draft.refuse(ENCODING, UNREADABLE, MISSING, rows=False)
    return True


@file("pack")
def packed(draft: Draft, random: Random) -> bool:
    return _packed(draft, random, _PACK)


def _packed(draft: Draft, random: Random, pack: dict[str, Callable[[bytes], bytes]]) -> bool:
    endings = [ending for ending in draft.kind.endings if ending.endswith(tuple(pack))]
    if not endings:
        return False
    draft.ending = random.choice(endings)
    draft.pack = next(function for end, function in pack.items() if draft.ending.endswith(end))
    return True


@file("pack")
def gzip_of_two_members(draft: Draft, random: Random) -> bool:
    def pack(data: bytes) -> bytes:
        half = len(data) // 2
        return gzip.compress(data[:half]) + gzip.compress(data[half:])

    return _packed(draft, random, {".gz": pack})


@file("pack")
def gzip_with_zeros_after_it(draft: Draft, random: Random) -> bool:
    return _packed(draft, random, {".gz": lambda data: gzip.compress(data) + bytes(512)})


@file("pack", "bytes")
def a_packed_file_cut_short(draft: Draft, random: Random) -> bool:
    if not _packed(draft, random, _PACK):
        return False
    pack = draft.pack
    draft.pack = lambda data: pack(data)[:-9] if pack else data
    draft.refuse(UNREADABLE, rows=False)
    return True


@file("pack", "bytes")
def a_packed_file_with_wrong_bytes(draft: Draft, random: Random) -> bool:
    if not _packed(draft, random, {".gz": gzip.compress, ".bz2": bz2.compress}):
        return False
    pack = draft.pack

    def spoil(data: bytes) -> bytes:
        packed = bytearray(pack(data) if pack else data)
        packed[len(packed) // 2] ^= 0x55
        return bytes(packed)

    draft.pack = spoil
    draft.refuse(UNREADABLE, rows=False)
    return True


@file("pack", "bytes")
def text_with_the_name_of_a_packed_file(draft: Draft, random: Random) -> bool:
    if not _packed(draft, random, _PACK):
        return False
    draft.pack = None
    draft.refuse(UNREADABLE, rows=False)
    return True


@file("pack", "bytes")
def a_packed_file_with_the_name_of_text(draft: Draft, random: Random) -> bool:
    if not draft.kind.has_header or not draft.ending.endswith((".csv", ".tsv", ".txt")):
        return False
    draft.pack = gzip.compress
    draft.refuse(UNREADABLE, ENCODING, MISSING, rows=False)
    return True


@file("pack", "bytes", "tail", "encoding", "size")
def empty(draft: Draft, random: Random) -> bool:
    content = random.choice([b"", b"\n\n", b"\r\n", b" \n\t\n" if draft.kind.has_header else b"\n"])
    draft.pack = lambda data: content
    draft.records.clear()
    draft.refuse(UNREADABLE, ENCODING if draft.kind.encoding == "utf-16" else UNREADABLE, rows=False)
    return True


@file("size")
def a_header_alone(draft: Draft, random: Random) -> bool:
    if draft.refused or not draft.kind.has_header or any(record.is_polluted for record in draft.records):
        return False
    draft.records.clear()
    return True


@file("size")
def one_row(draft: Draft, random: Random) -> bool:
    if draft.refused or any(not record.is_row or record.is_polluted for record in draft.records):
        return False
    del draft.records[1:]
    return True


@file("name")
def an_odd_name(draft: Draft, random: Random) -> bool:
    odd = [
        "a b",
        "a%20b",
        "a#b?c=d",
        "ü\u0308ber",
        "日本語",
        "it's",
        'say "hi"',
        "a;b&c",
        "$(id)",
        "-rf",
        "a\\x41",
        "~",
        "x" * 120,
    ]
    draft.name = f"{random.choice(odd)} {random.randrange(10**9)}"
    return True


@file("name")
def a_line_break_in_its_name(draft: Draft, random: Random) -> bool:
    draft.name = f"a\nb{random.randrange(10**9)}"
    return True


@file("name")
def its_ending_in_capitals(draft: Draft, random: Random) -> bool:
    draft.ending = draft.ending.upper()
    return True


@file("name")
def a_folder_below(draft: Draft, random: Random) -> bool:
    draft.folder = "/".join(filter(None, ["from/far away", draft.folder]))
    return True


@file("name", "kind")
def a_hidden_name(draft: Draft, random: Random) -> bool:
    draft.name, draft.is_taken = f"{random.choice('._')}hidden{random.randrange(10**9)}", False
    return True


@file("name", "kind", "pack")
def another_ending(draft: Draft, random: Random) -> bool:
    draft.ending, draft.is_taken = random.choice([".csv.tmp", ".csv~", ".xlsx", ".csv.zip", ".parquet", "csv"]), False
    return True


@file("kind")
def a_symbolic_link(draft: Draft, random: Random) -> bool:
    draft.placed, draft.is_taken = "a symbolic link", False
    return True


@file("kind")
def a_hard_link(draft: Draft, random: Random) -> bool:
    draft.placed = "a hard link"
    return True


@file("kind", "time")
def a_fifo(draft: Draft, random: Random) -> bool:
    draft.placed, draft.is_taken = "a FIFO", False
    return True


@file("time")
def an_odd_time(draft: Draft, random: Random) -> bool:
    draft.modified = random.choice([0.0, -80 * YEAR, 400 * YEAR, 2**33, 1e9 + 0.123456789, 1.0, -1.0])
    return True


@file("time")
def a_time_in_ten_days(draft: Draft, random: Random) -> bool:
    draft.modified = 1_900_000_000.0
    return True


def _zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, "zstd", asbytes=True)
    return packed


_PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": _zstd}

LINKS = ("a symbolic link", "a hard link")
