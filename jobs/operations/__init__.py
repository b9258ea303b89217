"""Beside the stream, without Spark: what it has done, putting rejects through again, what is wrong with a machine.

look       a feed's landing folder, ledger and tables, read only
status     what the stream has done
replay     quarantined rows and files, landed again
original   the file of a refused file
shelf      the files in a landing folder by their names, and copies of them
mark       which rows were landed again
doctor     what is wrong, and one fix for each
checks     what the doctor looks at
"""
