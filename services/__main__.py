"""`python -m services`: start object store, PostgreSQL and MLflow, and wait for Ctrl-C."""

import sys

from services.start import main

sys.exit(main())
