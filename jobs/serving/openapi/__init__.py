"""The service described, and Swagger.

document  the document, and its page
series    the operations of a model of series
parts     what operations are made of
"""
