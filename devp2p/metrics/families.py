"""Families of samples, made in one line each."""

from collections.abc import Mapping
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

K = TypeVar("K", bound=tuple[str, ...])
"""The values of a sample's labels."""


def gauge(name: str, text: str, samples: Mapping[K, float], *labels: str) -> Metric:
    """What may rise and fall: a sample for each combination of the labels' values, ``{(): number}`` without labels."""
    return _filled(GaugeMetricFamily(name, text, labels=labels), samples)


def counter(name: str, text: str, samples: Mapping[K, float], *labels: str) -> Metric:
    """What only grows, likewise."""
    return _filled(CounterMetricFamily(name, text, labels=labels), samples)


def _filled(family: GaugeMetricFamily | CounterMetricFamily, samples: Mapping[K, float]) -> Metric:
    for values, value in samples.items():
        family.add_metric(list(values), value)
    return family
