"""Where somebody who follows a table is."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from schemas.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Cursor:
    """What is to be read next; whoever follows a table stores it with what came of the rows before it.

    Attributes:
        table_id: as the table's log has it: a table that is made anew has another one. Empty: whichever is there.
        version: of the next commit.
        position: how many of that commit's files were read.
    """

    table_id: str
    version: int
    position: int = 0

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Self:
        """What `to_json` made.

        Args:
            where: the text comes from; for the message.

        Raises:
            SettingsError: the text is no cursor.
        """
        try:
            said = json.loads(text)
            cursor = cls(**said)
            whole = isinstance(cursor.table_id, str) and {type(cursor.version), type(cursor.position)} == {int}
        except (ValueError, TypeError):
            whole = False
        if not whole or min(cursor.version, cursor.position) < 0:
            msg = f"{where} holds no cursor, wanted what `follow` writes there; delete it to begin anew"
            raise SettingsError(msg)
        return cursor
