"""What a store keeps for programs that use the API: their tokens, and answers that are given again."""

from datetime import datetime
from typing import Protocol

from penstock.store.rows import AnswerRow, TokenRow


class AccessStore(Protocol):
    """Tokens and answers."""

    def add_token(self, row: TokenRow) -> bool:
        """Store a token; False when one has its name."""

    def tokens(self) -> list[TokenRow]:
        """Return all tokens, by name."""

    def token_of_digest(self, digest: str) -> TokenRow | None:
        """Return the token that is hashed to this, or None."""

    def remove_token(self, name: str) -> bool:
        """Remove a token; False when there is none."""

    def begin_answer(self, row: AnswerRow) -> AnswerRow | None:
        """Note that a request is being answered; returns the note that there is already, else None.

        Within a transaction, somebody else who notes the same waits for its end.
        """

    def keep_answer(self, answer_id: str, status: int, body: str) -> None:
        """Store the answer."""

    def drop_answer(self, answer_id: str) -> None:
        """Remove a note: the request was not answered, and may be made again."""

    def drop_answers(self, before: datetime) -> None:
        """Remove notes that are older."""
