"""From data to a model version in the registry."""
