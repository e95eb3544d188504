"""Requests made of the API's own description, right ones and wrong ones: whatever comes, nothing breaks."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode


def answers_of(app: Any, headers: dict[str, str], examples: int, sent: Callable[[Any, Any], None]) -> Counter[int]:
    """Send requests to every operation; return how often each status came.

    Args:
        app: The application.
        headers: What goes with every request.
        examples: How many requests of each sort, for each operation.
        sent: Is called with each request and its answer.
    """
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    statuses: Counter[int] = Counter()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            _send_all(operation.as_strategy(generation_mode=mode), headers, examples, statuses, sent)
    return statuses


def _send_all(
    strategy: Any, headers: dict[str, str], examples: int, statuses: Counter[int], sent: Callable[[Any, Any], None]
) -> None:
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def send(case: Any) -> None:
        answer = case.call(headers=headers)
        statuses[answer.status_code] += 1
        sent(case, answer)

    send()
