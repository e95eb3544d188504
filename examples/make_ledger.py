"""Write a ledger of made-up bookings, the same for the same number of lines on every machine.

    python examples/make_ledger.py ledger.csv --lines 1000000

Each line is `date,account,payee,currency,amount,reference,text`, without a header, in UTF-8. The reference is an
RF creditor reference of ISO 11649, with its check digits. About one line in 200 has something wrong with it,
for `LedgerJob` in `ledger.py` to find.
"""

import argparse
import random
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice

FIRST_DAY = date(2025, 1, 1)
DAYS = [(FIRST_DAY + timedelta(days)).isoformat() for days in range(365)]
CURRENCIES = ["EUR"] * 10 + ["USD"] * 5 + ["GBP"] * 3 + ["CHF", "JPY", "PLN", "SEK", "CZK"]
UNKNOWN_CURRENCIES = ["XXX", "EURO", "ZWL"]
PAYEES = [
    "Stadtwerke Köln",
    '"Müller, Söhne & Co. KG"',
    "Café Crème",
    "Électricité du Rhône",
    '"Łódź Handel, sp. z o.o."',
    "Žižkovská pekárna s.r.o.",
    "Smörgås & Bröd AB",
    "São João Transportes",
    "東京電力",
    "Ελληνικά Ταχυδρομεία",
    "Bäckerei Weiß",
    '"The ""Old"" Mill Ltd"',
    "Ada Lovelace",
    "Noël Français",
    "Ørsted Vind A/S",
]
TEXTS = [
    "invoice",
    "rent",
    "salary",
    "refund",
    "subscription",
    "electricity",
    "travel costs",
    "Gebühr",
    "office supplies",
]
WRONG_EVERY = 200
"""About one line in so many has something wrong with it."""
LINES_AT_ONCE = 10_000


def ledger_lines(count: int) -> Iterator[str]:
    """Yield `count` lines, each with its end."""
    # Only random() is called: it gives the same numbers in every version of Python.
    number = random.Random(2025).random
    for serial in range(count):
        # Most amounts are small, a few are thousands; never a round sum, unless it is meant to be wrong.
        cents = int(10 ** (2 + number() * 4))
        amount = f"{cents // 100}.{cents % 100 or 5:02}"
        currency = CURRENCIES[int(number() * len(CURRENCIES))]
        reference = f"{int(number() * 1e7):07}{serial:08}"
        check = check_digits(reference)
        if number() * WRONG_EVERY < 1:
            kind = number()
            if kind < 0.25:
                amount = f"{500_000 + cents}.17"
            elif kind < 0.6:
                amount = f"{(1 + cents % 9) * 10_000}.00"
            elif kind < 0.8:
                check = (check + 1) % 97
            else:
                currency = UNKNOWN_CURRENCIES[int(number() * len(UNKNOWN_CURRENCIES))]
        day = DAYS[serial * len(DAYS) // count]
        account = int(number() * 9000) + 1000
        payee = PAYEES[int(number() * len(PAYEES))]
        text = TEXTS[int(number() * len(TEXTS))]
        yield f"{day},{account},{payee},{currency},{amount},RF{check:02}{reference},{text}\n"


def check_digits(reference: str) -> int:
    """Return the check digits that ISO 11649 puts between `RF` and a reference of digits."""
    # The letters R and F count as 27 and 15, and 00 stands where the check digits will be.
    return 98 - int(f"{reference}271500") % 97


def write_ledger(path: str, count: int) -> None:
    """Write a ledger of `count` lines."""
    lines = ledger_lines(count)
    with open(path, "w", encoding="utf-8", newline="\n") as ledger:
        while run := list(islice(lines, LINES_AT_ONCE)):
            ledger.write("".join(run))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a ledger of made-up bookings.")
    parser.add_argument("path")
    parser.add_argument("--lines", type=int, default=1_000_000)
    arguments = parser.parse_args()
    write_ledger(arguments.path, arguments.lines)
