"""Prints the first sample of a metric family, as clients that poll /metrics read it; 0 if there is none.

Usage: parse_metrics.py FAMILY < TEXT
"""

import sys

from prometheus_client.parser import text_string_to_metric_families

(family,) = sys.argv[1:]
values = {
    metric.name: metric.samples[0].value if metric.samples else 0
    for metric in text_string_to_metric_families(sys.stdin.read())
}
print(int(values[family]))
