"""Send many requests made of the description to the API: `python -m tests.web.api [EXAMPLES]`; exit 1 at a 500."""

import sys
import tempfile

from tests.web.api.fuzzing import answers_of

import penstock
from penstock.service.tokens import add_token
from penstock.store import current_store
from penstock.web.api import api_app


class FuzzedJob(penstock.Job):
    def perform(self):
        return None


class FuzzedLines(penstock.BatchJob):
    def perform(self, line):
        return line


def main() -> int:
    broken = []

    def sent(case, answer):
        if answer.status_code >= 500:
            broken.append(f"{case.method} {case.formatted_path} {case.query} {case.body!r}: {answer.text}")

    with tempfile.TemporaryDirectory() as folder:
        penstock.configure(store=f"sqlite:///{folder}/api.db", durability="normal")
        FuzzedJob.create()
        token = add_token(current_store(), "fuzz", by="root", roles=["admin"])["token"]
        examples = int(sys.argv[1]) if len(sys.argv) > 1 else 100
        headers = {"Authorization": f"Bearer {token}"}
        statuses = answers_of(api_app(current_store), headers, examples, sent)
    print(f"{sum(statuses.values()):,} requests:", ", ".join(f"{code}: {n:,}" for code, n in sorted(statuses.items())))
    print("\n".join(broken[:20]) or "nothing broke")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
