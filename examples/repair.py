"""A record that fails, the correction, and going on from that record.

    $ penstock run repair:CentsJob --input prices.txt --output cents.txt
    CentsJob 01a1… failed: …
      prices.txt:3: ValueError: invalid literal for int() with base 10: '1,50'

The exit code is 1, and nothing was written. What was processed is kept, and so are the records after it: only
the slice with line 3 has stopped there. Correct `cents` below as its comment says, then go on:

    $ penstock run --resume --app repair --output cents.txt
"""

from penstock import BatchJob


class CentsJob(BatchJob):
    """Turn prices, one on each line, into cents."""

    collect_output = True

    def perform(self, line: str) -> int:
        """Return a price in cents."""
        return cents(line)


def cents(price: str) -> int:
    """Return a price such as `1.50` in cents."""
    # Some write it with a comma. The correction: price.replace(",", ".").partition(".")
    whole, _, rest = price.partition(".")
    return int(whole) * 100 + int(rest or 0)
