"""Reverse every line of a file.

penstock run reverse:ReverseJob --input names.csv.gz --output reversed.txt
"""

from penstock import BatchJob


class ReverseJob(BatchJob):
    """Reverse every line of a file."""

    slice_size = 100  # records that are stored, claimed and finished as one
    collect_output = True
    destroy_on_complete = False

    def perform(self, line: str) -> str:
        """Return the line reversed."""
        return line[::-1]
