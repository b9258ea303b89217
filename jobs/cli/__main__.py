"""`python -m jobs.cli`, which is how processes of ours start the command."""

from jobs.cli import main

main()
