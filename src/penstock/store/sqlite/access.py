"""Tokens and answers of the API in SQLite."""

from datetime import datetime

from penstock.clock import from_micros
from penstock.store.rows import AnswerRow, TokenRow
from penstock.store.sqlite.connection import Connections
from penstock.store.sqlite.convert import stored
from penstock.store.sqlite.jobs import SQL


class SqliteAccess:
    """Tokens and answers."""

    connections: Connections

    def add_token(self, row: TokenRow) -> bool:
        """Store a token."""
        with self.connections.transaction() as connection:
            return connection.execute(SQL["add_token"], list(map(stored, row))).rowcount > 0

    def tokens(self) -> list[TokenRow]:
        """Return all tokens, by name."""
        with self.connections.reading() as connection:
            rows = connection.execute(SQL["tokens"]).fetchall()
        return [TokenRow._make((*row[:4], from_micros(row[4]))) for row in rows]

    def token_of_digest(self, digest: str) -> TokenRow | None:
        """Return the token that is hashed to this, or None."""
        with self.connections.reading() as connection:
            row = connection.execute(SQL["token_of_digest"], (digest,)).fetchone()
        return TokenRow._make((*row[:4], from_micros(row[4]))) if row else None

    def remove_token(self, name: str) -> bool:
        """Remove a token."""
        with self.connections.transaction() as connection:
            return connection.execute(SQL["remove_token"], (name,)).rowcount > 0

    def begin_answer(self, row: AnswerRow) -> AnswerRow | None:
        """Note that a request is being answered; returns the note that there is already."""
        with self.connections.transaction() as connection:
            if connection.execute(SQL["begin_answer"], (row.id, row.request, stored(row.created_at))).rowcount > 0:
                return None
            found = connection.execute(SQL["answer"], (row.id,)).fetchone()
        return AnswerRow(found[0], found[1], from_micros(found[2]), *found[3:])

    def keep_answer(self, answer_id: str, status: int, body: str) -> None:
        """Store the answer."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["keep_answer"], (status, body, answer_id))

    def drop_answer(self, answer_id: str) -> None:
        """Remove a note."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["drop_answer"], (answer_id,))

    def drop_answers(self, before: datetime) -> None:
        """Remove notes that are older."""
        with self.connections.transaction() as connection:
            connection.execute(SQL["drop_answers"], (stored(before),))
