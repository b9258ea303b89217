"""The pages are held to what they say: their blocks run, their links lead somewhere, their paths are there.

blocks        which blocks a page has, and which of them are run
run_blocks    runs them in a working folder
folders       the folders that pages start from
links         links, anchors and paths of a page
test_blocks, test_run_blocks, test_links    the tests of these modules
test_pages    each page's blocks, run in their order: one test a page
test_text     links, paths and the length of lines of all pages

Three marks, each an HTML comment, say what a block needs:

`<!-- not run: reason -->` right before a block: it is only shown, and this is why.
`<!-- runs in: trained -->` before the first block that is run: the page starts from a folder where wine_quality has
    two versions in `var/mlflow.db`, both were promoted, and version 2 is in Production.
`<!-- runs in: streamed -->`: the same, and a stream has taken 300 rows in four files, 15 of them broken.

A page without a mark starts from a new folder, which holds `schemas/`, `conf/` and `examples/` as all of them do.
"""
