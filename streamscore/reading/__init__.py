"""CSV files in, typed rows and rejects out, by header name.

landed     a landed file as UTF-8 bytes: gzip, encodings, changes while it is read
fetch      files of an object store, requested ahead
header     where each of the feed's columns stands in a file
escapes    quotes that an escape makes text
records    where records begin and end
blocks     files cut into blocks of whole records
parse      many blocks to columns by Arrow
split      what Arrow cannot map line by line, by the csv module
folders    columns in the names of a file's folders
plain      text as a dialect has it, without the dialect
convert    text to typed values, and which values fail
rows       a chunk of rows, and the way back to each row's own text
written    the way back of plain, for files that we make
options    how the files of a micro-batch are read
rejects    what is refused, and why
read       the chunks
validate   nulls, ranges, allowed values
"""
