"""A plain function is a batch job: it is called with each line, and what it returns is a line of the output.

    penstock run words:count --input letter.txt --output words.jsonl

Text is written as it is; anything else, as this dict, as JSON. Within an output all stay in input order.
"""


def count(line: str) -> dict[str, object]:
    """Return how many words a line has, and its longest one."""
    words = line.split()
    return {"words": len(words), "longest": max(words, key=len, default="")}
