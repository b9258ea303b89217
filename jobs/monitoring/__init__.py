"""Who watches the tables of a feed: `follow`, `drift` and `alerts`.

json_lines   rows of a table as JSON lines
cursor_file  a cursor that outlives the process
follow       new rows, printed as they come
drift        whether today's rows are still those that the model learned from
alerts       rules over what comes
"""
