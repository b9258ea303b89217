"""Which model a user is answered by.

repositories  what a model, and what keeps models, can do
user_models   a user → the model that answers
shadows       candidates that are asked beside
"""
