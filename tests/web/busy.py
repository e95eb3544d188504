"""A busy store: jobs of all kinds and states, made and worked on by real processes, as the pages are looked at with."""

import random
from pathlib import Path

from tests.process.lab import Lab, Started, wait_for

SHOP = '''
import logging, os, time
from datetime import date
from typing import Literal
from penstock import BatchJob, Cron, Job, OutputCategory, Result, Retry, Singleton, field

log = logging.getLogger("shop")


class LedgerImport(BatchJob):
    """Books the lines of a bank ledger; lines without an account go to their own output."""

    slice_size = 50
    destroy_on_complete = False
    output_categories = ["main", "invalid"]
    description = "Daily ledger of the bank"
    login: str | None = field(None, user_editable=True, description="Whose job it is.")
    currency: Literal["EUR", "USD", "GBP"] = field("EUR", user_editable=True, description="What amounts are in.")
    strict: bool = field(True, user_editable=True, description="Refuse amounts with a comma.")

    def perform(self, line: str):
        number, account, amount = line.split(";")
        if not account:
            return Result(line, "invalid")
        if "," in amount:
            raise ValueError(f"amount {amount!r} of entry {number} is no number")
        self.add_statistic("booked")
        if amount.startswith("-"):
            self.add_statistic("refunds")
        return f"{number};{account};{round(float(amount) * 100)}"


class ClickStream(BatchJob):
    """Counts the clicks of a day by page."""

    slice_size = 100
    priority = 40
    throttle_running_workers = 2
    destroy_on_complete = False
    collect_output = True
    description = "Clicks of yesterday"

    def perform(self, line: str):
        if self.record_number % 1000 == 1:
            log.info("reached record %d", self.record_number)
        if "broken" in line:
            raise KeyError("page")
        time.sleep(0.01)
        return line.upper()


class Geocode(BatchJob):
    """Looks addresses up."""

    slice_size = 10
    priority = 60
    collect_output = True
    destroy_on_complete = False
    description = "Addresses of new customers"

    def perform(self, line: str):
        if int(line) % 90 == 7:
            raise ConnectionError("the service does not answer")
        if int(line) % 70 == 9:
            raise LookupError(f"no address {line}")
        return f"{line}: 52.5, 13.4"


class Reverse(BatchJob):
    """Turns lines round."""

    collect_output = True
    destroy_on_complete = False
    description = "Lines turned round"

    def perform(self, line: str):
        return line[::-1]


class SendInvoice(Job):
    """Sends one invoice by mail."""

    destroy_on_complete = False
    customer: str = field("", user_editable=True, description="Who gets it.")
    amount: float = 0.0
    login: str | None = None

    def perform(self):
        log.info("sending to %s", self.customer)
        if self.amount > 900:
            log.error("refused for %s", self.customer)
            raise PermissionError(f"invoices above 900 need a signature: {self.amount}")
        return {"sent_to": self.customer}


class Thumbnail(Job):
    """Shrinks a picture."""

    destroy_on_complete = False
    path: str = ""

    def perform(self):
        return f"{self.path}.small"


class TrainModel(Job):
    """Trains the recommendation model for an hour."""

    destroy_on_complete = False
    priority = 80
    description = "Recommendations, weekly"

    def perform(self):
        while not os.path.exists("trained"):
            time.sleep(0.05)


class NightlyReport(Cron, Retry, Job):
    """The figures of the day, mailed before breakfast."""

    cron_schedule = "15 4 * * * Europe/Berlin"
    description = "Figures of the day"
    region: str = field("EU", user_editable=True)

    def perform(self):
        pass


class PurgeCarts(Cron, Job):
    """Forgets carts that nobody came back for."""

    cron_schedule = "*/20 * * * *"
    description = "Carts older than 30 days"

    def perform(self):
        pass


class MonthEnd(Cron, Job):
    """Closes the books."""

    cron_schedule = "30 23 L * * Europe/London"
    description = "Close the books"

    def perform(self):
        pass
'''

FILL = """
import random
from datetime import timedelta
from penstock import clock
from shop import *
random.seed(7)
names = ["Ada Lovelace", "Grace Hopper", "Edsger Dijkstra", "Barbara Liskov", "Tony Hoare", "Radia Perlman", "Jean Bartik"]
NightlyReport.ensure(); PurgeCarts.ensure(); MonthEnd.ensure()
for index in range(46):
    name = random.choice(names)
    SendInvoice(customer=name, amount=round(random.uniform(12, 1020), 2), description=f"Invoice {2041 + index} for {name}",
                login=random.choice(["ada", "grace", None])).save()
for index in range(60):
    Thumbnail(path=f"products/{index:04}.jpg", priority=70, description=f"Picture products/{index:04}.jpg").save()
ledger = LedgerImport(login="ada", priority=20); ledger.upload("ledger-2026-11-27.csv"); ledger.save()
geo = Geocode(); geo.upload([str(n) for n in range(1, 400)]); geo.save()
rev = Reverse(); rev.upload("names.txt"); rev.save()
"""

MORE = """
from datetime import timedelta
from penstock import clock
from shop import *
clicks = ClickStream(); clicks.upload("clicks.log"); clicks.save()
TrainModel().save()
for index in range(8):
    SendInvoice(customer="Grace Hopper", amount=20.0 + index, description=f"Reminder {index + 1} for Grace Hopper",
                run_at=clock.now() + timedelta(hours=3 + index)).save()
paused = Reverse(description="Names of the archive"); paused.upload("names.txt"); paused.save(); paused.pause()
gone = Thumbnail(path="products/recalled.jpg", run_at=clock.now() + timedelta(days=1), description="A recalled product"); gone.save(); gone.abort()
clicks2 = ClickStream(description="Clicks of the day before", priority=55); clicks2.upload("clicks.log"); clicks2.save()
"""


def write_inputs(lab: Lab, *, clicks: int = 60_000) -> None:
    """Write the job module and its input files."""
    chance = random.Random(11)
    lab.module("shop", SHOP)
    lines = []
    for number in range(1, 4_001):
        account = "" if chance.random() < 0.01 else f"DE{chance.randrange(10**8):08}"
        amount = f"{chance.uniform(-90, 900):.2f}"
        if number in (733, 1_912, 3_350):
            amount = amount.replace(".", ",")
        lines.append(f"{number};{account};{amount}\n")
    lab.path("ledger-2026-11-27.csv").write_text("".join(lines))
    lab.path("clicks.log").write_text("".join(f"{n} /product/{chance.randrange(900)}\n" for n in range(clicks)))
    lab.path("names.txt").write_text("".join(f"name {n}\n" for n in range(1, 1_201)))


def settle(lab: Lab) -> Started:
    """Fill the store, and return the server that has worked on what is to be done; long jobs are still running."""
    lab.python(FILL)
    server = lab.start("--app", "shop", "--workers", "4", "--processes", "2", command="server")
    wait_for(lambda: not _counts(lab)["queued_now"] and not _counts(lab)["running"], "the first jobs to end")
    lab.python(MORE)
    wait_for(lambda: _counts(lab)["running"] >= 2, "the long jobs to run")
    return server


def _counts(lab: Lab) -> dict[str, int]:
    from penstock.service.jobs import count_jobs
    from penstock.store import open_store

    return count_jobs(open_store(lab.url))


def watch_folder(lab: Lab) -> Path:
    """Make a folder with two files to be watched, and entries for it; returns it."""
    inbox = lab.path("inbox")
    inbox.mkdir(exist_ok=True)
    (lab.path("archive")).mkdir(exist_ok=True)
    for name in ("orders-1.csv", "orders-2.csv"):
        (inbox / name).write_text("a;b\n")
    return inbox
