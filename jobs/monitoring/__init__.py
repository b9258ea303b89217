"""Who watches the tables of a feed: `follow`.

json_lines   rows of a table as JSON lines
cursor_file  a cursor that outlives the process
follow       new rows, printed as they come
"""
