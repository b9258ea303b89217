"""What `spark-submit` runs: `streamscore run` inside a Spark that is there already. See spark-submit.sh."""

import sys

from jobs.cli import main

if __name__ == "__main__":
    main(["run", *sys.argv[1:]])
