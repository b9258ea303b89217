"""What more than one test needs: streams as processes, oracles, models, tables, a proxy that fails on demand."""
