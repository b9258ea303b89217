#!/usr/bin/env bash
# A series: train a VAR on quarterly figures of the United States, stream 40 quarters, read the forecasts.
# What it makes is in examples/series/var.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/../../.venv/bin:$PATH"

streamscore fetch macrodata
streamscore train macrodata --promote

mkdir -p var/landing/macrodata
(head -n 1 var/data/macrodata.csv; tail -n 40 var/data/macrodata.csv) > var/landing/macrodata/quarters.csv
streamscore run macrodata --trigger available-now

python read.py
