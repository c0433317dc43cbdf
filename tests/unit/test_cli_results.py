"""Results count calls by what became of them and give percentiles by nearest rank."""

from __future__ import annotations

from dracht.cli.results import Outcome, Results, lines, percentile


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (50, 95, 99, 100)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([7.0], 50) == 7.0


def test_calls_are_counted_by_status_and_by_error() -> None:
    results = Results(
        [Outcome(200, 0.01), Outcome(486, 0.01), Outcome(486, 0.02), Outcome(200, 0.01, "BYE: 408")], 2.0
    )
    assert (results.answered, results.failed) == (1, 3)
    assert results.failures() == {"486": 2, "BYE: 408": 1}
    assert results.summary()["setup_ms"] == {"p50": 10.0, "p95": 10.0, "p99": 10.0, "max": 10.0}
    assert lines(results.summary())[0] == "4 calls in 2.00 s (2.0 per second): 1 answered, 3 failed"


def test_without_an_answered_call_there_are_no_setup_times() -> None:
    assert Results([Outcome(None, None, "no answer within 5 s")], 5.0).setup() == {}
