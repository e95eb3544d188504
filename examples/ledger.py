"""A ledger converted to one currency, and what looks wrong in it set aside.

    python examples/make_ledger.py ledger.csv --lines 1000000
    penstock run examples.ledger:LedgerJob --input ledger.csv --output euro.csv --output suspicious=suspicious.csv

A line of the ledger is `date,account,payee,currency,amount,reference,text`.
"""

import csv
import io
from datetime import date
from decimal import Decimal

from penstock import BatchJob, Result

EURO_RATES = {
    "EUR": Decimal(1),
    "USD": Decimal("0.9241"),
    "GBP": Decimal("1.1838"),
    "CHF": Decimal("1.0417"),
    "JPY": Decimal("0.0061"),
    "PLN": Decimal("0.2331"),
    "SEK": Decimal("0.0872"),
    "CZK": Decimal("0.0395"),
}
"""Euros for one unit of each currency. A table in the code: run again, a job must give the same result."""

CENT = Decimal("0.01")
LARGE = Decimal(100_000)
ROUND = Decimal(10_000)


class LedgerJob(BatchJob):
    """Convert each booking to euros; put those that look wrong, with the reason, into a second output.

    `perform` is called for one line at a time, in any of the worker processes, and again from the record that
    was running when a process was killed. So it looks at nothing but its line: whether a reference occurs twice
    in the ledger, for example, is no question for it.
    """

    # Defaults of standard fields, overridden for this class; --set slice_size=100 overrides them for one job.
    slice_size = 1000
    # A line goes to `main`, or where a Result says. Each output keeps the order of the input.
    output_categories = ["main", "suspicious"]  # noqa: RUF012
    # Without this the job is removed from the store once its output is written.
    destroy_on_complete = False

    def perform(self, line: str) -> str | Result:
        """Return the line with its amount in euros, or as it is with the reason why it is suspicious.

        What this raises, for a line with too few columns say, fails its slice at this record: the others go on,
        `penstock run` names file and line, and after a correction `--resume` goes on from that record.
        """
        day, account, payee, currency, amount, reference, text = next(csv.reader((line,)))
        rate = EURO_RATES.get(currency)
        if rate is None:
            return Result(f"{line},unknown currency", "suspicious")
        euros = (Decimal(amount) * rate).quantize(CENT)
        if reason := suspicion(Decimal(amount), euros, reference):
            return Result(f"{line},{reason}", "suspicious")
        return to_csv(date.fromisoformat(day).strftime("%d.%m.%Y"), account, payee, euros, reference, text)


def suspicion(amount: Decimal, euros: Decimal, reference: str) -> str | None:
    """Return why a booking is suspicious; None when it is not."""
    if euros >= LARGE:
        return "large amount"
    if amount >= ROUND and amount % ROUND == 0:
        return "round amount"
    if not reference_fits(reference):
        return "check digits of the reference"
    return None


def reference_fits(reference: str) -> bool:
    """Tell whether the check digits of an RF creditor reference (ISO 11649) fit its digits."""
    return reference.startswith("RF") and int(f"{reference[4:]}2715{reference[2:4]}") % 97 == 1


def to_csv(*columns: object) -> str:
    """Return columns as a line of CSV, quoted where it must be."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(columns)
    return text.getvalue()
