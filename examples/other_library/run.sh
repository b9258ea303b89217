#!/usr/bin/env bash
# A model of another library, as code: fit with statsmodels, stream, read. What it makes is in examples/other_library/var.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/../../.venv/bin:$PATH"

mkdir -p var/landing/delivery_times
python train.py

cp ../own_csv/data/today.csv var/landing/delivery_times/
streamscore run delivery_times --trigger available-now

python read.py
