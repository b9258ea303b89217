"""What every part of streamscore agrees on; imports no other package of ours.

passwords        of URIs, left out of what is shown
errors           the one error tree, with exit codes and HTTP statuses
reasons          the reason codes of the quarantine
yaml_text        YAML files, read as they were written
value_text       which text is a value of a type
time_format      how dates and times are written, where not as ISO 8601
dialect          how the CSV text of a feed is written
columns          the columns of a feed
feed_blocks      the blocks of a feed that only some have
feed             what a CSV file of a feed looks like; `schemas/<feed>.yaml`
settings_blocks  every setting in blocks: its meaning, unit, bounds and default
settings_online  the same of the online service and of routes
kubernetes       variables of its own, which are no settings
settings         flag > environment > profile > default
local_clock      times in UTC as the clocks of a zone show them, and back
frequency        how far apart the observations of a series are
model_inputs     what a model's signature asks for, and its types
signature        the contract between a feed and a model's signature
alerts           the rules of alerts, `conf/alerts.yaml`
tables           the columns of predictions, quarantine, batches and events
propose          a feed out of a model's signature
"""
