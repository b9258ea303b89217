"""The service described, and Swagger.

document   the document, and its page
protocols  MLflow's and V2's operations
series     the operations of a model of series
parts      what operations are made of
"""
