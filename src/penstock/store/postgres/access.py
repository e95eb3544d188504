"""Tokens and answers of the API in PostgreSQL."""

from datetime import datetime

from penstock.store.postgres.connection import Connections, again
from penstock.store.postgres.convert import stored
from penstock.store.rows import AnswerRow, TokenRow


class PostgresAccess:
    """Tokens and answers."""

    connections: Connections
    sql: dict[str, str]

    @again
    def add_token(self, row: TokenRow) -> bool:
        """Store a token."""
        with self.connections.transaction() as session:
            return session.change(self.sql["add_token"], list(map(stored, row))) > 0

    def tokens(self) -> list[TokenRow]:
        """Return all tokens, by name."""
        return list(map(TokenRow._make, self.connections.fetch(self.sql["tokens"])))

    def token_of_digest(self, digest: str) -> TokenRow | None:
        """Return the token that is hashed to this, or None."""
        rows = self.connections.fetch(self.sql["token_of_digest"], (digest,))
        return TokenRow._make(rows[0]) if rows else None

    @again
    def remove_token(self, name: str) -> bool:
        """Remove a token."""
        with self.connections.transaction() as session:
            return session.change(self.sql["remove_token"], (name,)) > 0

    @again
    def begin_answer(self, row: AnswerRow) -> AnswerRow | None:
        """Note that a request is being answered; returns the note that there is already."""
        with self.connections.transaction() as session:
            if session.change(self.sql["begin_answer"], (row.id, row.request, row.created_at)) > 0:
                return None
            rows = session.fetch(self.sql["answer"], (row.id,))
        return AnswerRow._make(rows[0]) if rows else None

    @again
    def keep_answer(self, answer_id: str, status: int, body: str) -> None:
        """Store the answer."""
        with self.connections.transaction() as session:
            session.execute(self.sql["keep_answer"], (status, stored(body), answer_id))

    @again
    def drop_answer(self, answer_id: str) -> None:
        """Remove a note."""
        with self.connections.transaction() as session:
            session.execute(self.sql["drop_answer"], (answer_id,))

    @again
    def drop_answers(self, before: datetime) -> None:
        """Remove notes that are older."""
        with self.connections.transaction() as session:
            session.execute(self.sql["drop_answers"], (before,))
