"""How large the pages of a Parquet file are once they are unpacked, by what each says of itself; nothing is unpacked.

The end of a file says it, too, but nothing holds it to that. The pages are what a reader believes. The layout is that
of `parquet.thrift` of Apache Parquet, in Thrift's compact protocol.
"""

import struct
from typing import Any

MOST_VALUES = 500_000  # that are looked at, in a second; a page has 10, a column of a group 20
_GROUPS, _COLUMNS, _METADATA = 4, 1, 3  # fields of FileMetaData, RowGroup, ColumnChunk
_VALUES, _PACKED, _DATA, _DICTIONARY = 5, 7, 9, 11  # of ColumnMetaData: their number, bytes, and where pages begin
_UNPACKED_PAGE, _PACKED_PAGE, _HEADERS = 2, 3, (5, 8)  # of PageHeader; those of data pages have the number of values


def unpacked_pages(data: bytes) -> int:
    """Bytes of all pages of a file that Arrow can open.

    Raises:
        ValueError: what the file says of its pages is damaged, or too much to look at.
    """
    (size,) = struct.unpack("<I", data[-8:-4])
    thrift = _Thrift(data)
    try:
        groups = thrift.struct(len(data) - 8 - size)[0].get(_GROUPS, [])
        return sum(_pages(thrift, column[_METADATA]) for group in groups for column in group[_COLUMNS])
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        msg = "what it says of its pages is damaged, or too much"
        raise ValueError(msg) from error


def _pages(thrift: "_Thrift", column: dict[int, Any]) -> int:
    """The unpacked bytes of all pages of a column."""
    at, first = column[_DATA], column.get(_DICTIONARY, 0)
    at = first if 0 < first < at else at
    end, left, found = at + column[_PACKED], column[_VALUES], 0
    while at < end and left > 0:
        page, at = thrift.struct(at)
        if page[_UNPACKED_PAGE] < 0 or page[_PACKED_PAGE] < 0:
            raise ValueError
        found += page[_UNPACKED_PAGE]
        left -= sum(page[header][1] for header in _HEADERS if header in page)
        at += page[_PACKED_PAGE]
    return found


class _Thrift:
    """Values in their compact form; each method gives a value, and where the next one begins."""

    def __init__(self, data: bytes) -> None:
        self._data, self._left = data, MOST_VALUES

    def struct(self, at: int) -> tuple[dict[int, Any], int]:
        """The fields of a struct, by their numbers; of text and bytes nothing."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._data[at]:
            at += 1
            if head >> 4:
                number += head >> 4
            else:
                number, at = self._integer(at)
            kind = head & 15
            fields[number], at = (kind == 1, at) if kind in (1, 2) else self._value(at, kind)
        return fields, at + 1

    def _value(self, at: int, kind: int) -> tuple[Any, int]:
        self._left -= 1
        if self._left < 0:
            raise ValueError
        match kind:
            case 1 | 2 | 3:  # true and false as elements of a list, bytes
                return self._data[at], at + 1
            case 4 | 5 | 6:
                return self._integer(at)
            case 7:  # double
                return None, at + 8
            case 8:  # bytes, text
                size, at = self._varint(at)
                return None, at + size
            case 9 | 10:
                return self._list(at)
            case 12:
                return self.struct(at)
        raise ValueError

    def _list(self, at: int) -> tuple[list[Any], int]:
        head, at, values = self._data[at], at + 1, list[Any]()
        size, kind = head >> 4, head & 15
        if size == 15:
            size, at = self._varint(at)
        for _ in range(size):
            value, at = self._value(at, kind)
            values.append(value)
        return values, at

    def _integer(self, at: int) -> tuple[int, int]:
        value, at = self._varint(at)
        return (value >> 1) ^ -(value & 1), at

    def _varint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        while shift < 70:
            byte = self._data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at
        raise ValueError
