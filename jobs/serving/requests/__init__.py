"""Bytes → values → typed rows, and answers → bytes.

patience        how long a request is worked on
body            the bytes of a request, within their bounds
json_text       JSON without doubles
tabular         MLflow's JSON, CSV, Parquet and Arrow → values
columnar        Parquet and Arrow → a table of plain columns
arrow_messages  how large messages of Arrow are unpacked
parquet_pages   how large pages of Parquet are unpacked
v2_tensors      V2's tensors → values, predictions → tensors
rows_request    which rows are predicted, with which params
v2_request      the same in V2's words
series_request  which steps are wanted, after which observations
contract        what a model's requests must hold
params          the params of the signature
values          values → typed rows
answers         predictions and refusals as bytes
problems        what a request is refused for
"""
