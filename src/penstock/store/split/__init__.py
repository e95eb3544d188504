"""A store in two: jobs and all that is small in the first, the records of batch jobs in the second.

The second alone is the truth about records. It has a row for each batch job that it holds anything of, always
paused, so that its engine is the same as anywhere; nothing is ever claimed by that row.

No transaction holds over both. What joined them is two steps, the first of which can stand alone, and the second
of which is taken again by whoever comes next:

| what | first | then | a crash between leaves | who goes on |
| --- | --- | --- | --- | --- |
| claim | slices taken, for the server | the turn commits | slices of a dead server | `release_server` |
| nothing to claim | job no candidate | look again for slices | a candidate too few | `release_server` |
| settle | slices gone, outputs stored | the turn commits | a job with nothing left | `release_server` |
| hand back | slice queued | job a candidate | a candidate too few | `release_server` |
| finish a batch | its last slice settled | job moved, if it runs | a job with nothing left | `release_server` |
| append | slices stored | job a candidate | slices beyond its count | `drop_abandoned` |
| `record_count` | slices stored | count written | slices beyond it | `drop_abandoned` |
| reject, retry | slices queued | job moved | queued slices, job not moved | the same call again |
| resubmit | taken back and queued | job moved | queued slices, job ended | `store check --mend` |
| destroy | job out of sight | slices, then the job | a job out of sight | `drop_abandoned` |
| death of a server | its slices queued | its jobs, its row | its row | `release_server` again |

The server's row in the first store goes last, so that whatever is cut short, somebody comes and takes it up.
`release_server` looks at each running job that the second store has anything of. Attempts still fence: those of
slices in the second store, those of jobs in the first.

Claims, settlements and what is handed back hold in the second store at once; no transaction of it is open while a
lock of the first is waited for, so the two cannot wait for each other. A turn that is undone while its process
lives hands back what it had claimed, and what it had settled counts as settled when it is tried again. What people
do within a transaction (append, resubmit, retry) is one transaction of the second store, which is committed just
before that of the first.

What is lost by a crash between the steps of settling: a move that the code of a slice asked for.
"""

from penstock.store.protocol import Store
from penstock.store.split.pairing import pair, refuse_half
from penstock.store.split.store import SplitStore

__all__ = ["SplitStore", "refuse_half", "split"]


def split(jobs: Store, slices: Store) -> SplitStore:
    """Return the store that keeps jobs in one and their slices in the other; closing it closes both.

    Raises:
        ConfigurationError: one of them belongs to another.
    """
    pair(jobs, slices)
    return SplitStore(jobs, slices)
