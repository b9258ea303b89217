"""Quarantined rows and files, landed again: `streamscore replay`.

original       the file of a refused file
landing_files  the files in a landing folder by their names, and copies of them
mark           which rows were landed again
replay         the selection, from quarantine to landing folder
"""
