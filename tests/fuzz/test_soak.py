"""What the soak calls growth, and what it does not."""

import pytest

from benchmarks.soak import WARM_UP, Sample, counted_of, slope, verdict


def rounds(*pss: int, descriptors: int = 29) -> list[Sample]:
    """Return samples after the warm-up, a minute apart, with these MiB."""
    figures = (*[10] * WARM_UP, *pss)
    return [Sample(60.0 * at, 4, size * 1024, descriptors, ()) for at, size in enumerate(figures)]


def test_the_first_rounds_and_the_first_half_of_a_long_run_do_not_count() -> None:
    assert len(counted_of(rounds(1, 2))) == 2
    assert len(counted_of(rounds(*range(96)))) == 50


def test_memory_that_climbs_and_falls_back_does_not_grow() -> None:
    assert verdict(rounds(80, 90, 100, 81, 91, 101)) == []


def test_memory_that_only_climbs_grows() -> None:
    (fault,) = verdict(rounds(80, 84, 88, 92))
    assert fault == "memory grew by 8192 KiB"


def test_a_descriptor_or_a_process_that_stays_is_a_fault() -> None:
    samples = rounds(80, 80)
    samples[-1] = samples[-1]._replace(descriptors=30, processes=5)
    assert len(verdict(samples)) == 2


def test_a_slope_is_that_of_a_line() -> None:
    assert slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]) == pytest.approx(2.0)
    assert slope([(1.0, 1.0)]) == 0.0
