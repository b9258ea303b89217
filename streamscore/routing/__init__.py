"""Which model answers for whom: a routing key → a route, by a table that may change while somebody uses it.

routes     a route, and a table of them
file       the table in a YAML file
database   the table in a SQL database, with all its versions
followed   the table as it is now, read again when it changes
"""
