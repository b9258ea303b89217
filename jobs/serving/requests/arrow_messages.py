"""How large the messages of an Arrow stream are once they are unpacked; nothing is unpacked to know it.

Arrow unpacks a whole message at once, and its library for Python says nothing of it before. The layout is that of
FlatBuffers (flatbuffers.dev/internals) with the fields of `format/Message.fbs` of Apache Arrow.
"""

import struct

import pyarrow as pa

_HEADER, _DATA = 2, 1  # fields of Message and DictionaryBatch: the record batch inside
_BUFFERS, _COMPRESSION = 2, 3  # fields of RecordBatch
_NOT_PACKED = -1


def unpacked_bytes(message: pa.Message) -> int:
    """Bytes of the buffers of a record batch or a dictionary; of other messages 0.

    Raises:
        ValueError: the message is damaged.
    """
    if message.type not in ("record batch", "dictionary"):
        return 0
    head, body = memoryview(message.metadata).cast("B"), memoryview(message.body).cast("B")
    try:
        batch = _at(head, _field(head, _at(head, 0), _HEADER))
        if message.type == "dictionary":
            batch = _at(head, _field(head, batch, _DATA))
        if not _field(head, batch, _COMPRESSION):
            return len(body)
        buffers = _at(head, _field(head, batch, _BUFFERS))
        (count,) = struct.unpack_from("<I", head, buffers)
        found = 0
        for at in range(buffers + 4, buffers + 4 + 16 * count, 16):
            offset, length = struct.unpack_from("<qq", head, at)
            if length:  # the unpacked size comes first, and the unpacker fills exactly that
                (size,) = struct.unpack_from("<q", body, offset)
                found += length if size == _NOT_PACKED else size
                if offset < 0 or size < _NOT_PACKED:
                    raise ValueError
    except (struct.error, ValueError) as error:
        msg = "a message of the stream is damaged"
        raise ValueError(msg) from error
    return found


def _at(head: memoryview, at: int) -> int:
    """Where an offset points to."""
    return int(at + struct.unpack_from("<I", head, at)[0])


def _field(head: memoryview, table: int, number: int) -> int:
    """Where a field of a table is; 0: the table has none."""
    vtable = table - struct.unpack_from("<i", head, table)[0]
    if vtable < 0:
        raise ValueError
    (size,) = struct.unpack_from("<H", head, vtable)
    entry = 4 + 2 * number
    offset = struct.unpack_from("<H", head, vtable + entry)[0] if entry < size else 0
    return int(table + offset) if offset else 0
