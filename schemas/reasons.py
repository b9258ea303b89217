"""The reason codes of the quarantine; fixed, because consumers filter by them."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a row or a file stands in quarantine instead of predictions or forecasts."""

    # the whole file
    MISSING_COLUMN = "missing_column"
    EXTRA_COLUMN = "extra_column"
    DUPLICATE_COLUMN = "duplicate_column"
    UNREADABLE = "unreadable"
    FILE_CHANGED = "file_changed"
    FILE_MISSING = "file_missing"
    # the structure of a row; bad_encoding and unreadable may also be a whole file's
    TOO_FEW_FIELDS = "too_few_fields"
    TOO_MANY_FIELDS = "too_many_fields"
    BAD_ENCODING = "bad_encoding"
    # a value
    BAD_TYPE = "bad_type"
    NULL_NOT_ALLOWED = "null_not_allowed"
    NOT_FINITE = "not_finite"
    OUT_OF_RANGE = "out_of_range"
    NOT_ALLOWED = "not_allowed"
    # an observation of a series: which series it is of, and its time
    UNTRAINED = "untrained"
    GAP = "gap"
    LATE = "late"
    DUPLICATE_TIME = "duplicate_time"
    # the model
    NO_MODEL = "no_model"
    MODEL_ERROR = "model_error"
    BAD_PREDICTION = "bad_prediction"
