"""What public reports say against other servers, and the test here that holds each: none of them goes without one."""

import re

from tests.support.source_tree import ROOT

RECIPES = {
    "MLflow: 3000000000 for an integer, 1.5 for a long, text or null for a boolean": (
        "test_a_value_that_would_have_to_be_changed_is_refused"
    ),
    "MLflow: a key twice": "test_a_key_that_is_there_twice_is_found_however_deep",
    "MLflow: a misspelt key": "test_what_nobody_reads_is_told_or_refused",
    "MLflow: null for required text or a required time": "test_a_null_is_refused_where_the_signature_wants_a_value",
    "torchserve#1304: NaN and infinity from the model": (
        "test_a_row_that_breaks_a_call_costs_only_its_own_request_an_answer"
    ),
    "mlflow#4897: no content type, 100,000 brackets": "test_a_body_that_is_not_understood_is_refused",
    "mlflow#5525: CSV of times": "test_csv_of_times_is_read_and_text_that_looks_like_a_time_stays_as_it_is",
    "mlflow#5207: null for an optional long": "test_a_null_reaches_the_model_where_the_signature_says_optional",
    "MLServer#1625: [N] and [N, 1]": "test_a_column_is_a_list_or_a_table_of_one_column",
    "triton#1649: a shape of other values": "test_a_field_of_another_type_is_refused",
    "kserve#3478: a V2 field of another type": "test_a_request_as_mlservers_codec_of_pandas_makes_it_is_answered",
    "serving#4136: packed bodies; triton#8770: chunks of a byte": "test_bodies_that_grow_are_bounded",
    "the same of Parquet and Arrow": "test_what_would_be_more_than_a_body_may_have_is_refused_before_it_is_unpacked",
    "MLServer#1306: requests of other sizes, params and outputs together": (
        "test_requests_of_different_params_and_sizes_each_get_their_own_rows"
    ),
    "BentoML#3859: a limit of rows": "test_a_call_is_bounded_and_a_larger_request_goes_alone",
    "ray#41057, torchserve#1815: clients that go away": ("test_clients_that_go_away_leave_nothing_to_those_who_stay"),
    "triton#7512: a deadline behind a long call": ("test_ten_seconds_are_ten_seconds_behind_a_call_of_ninety"),
    "triton#8870: deadlines under a long load": "test_deadlines_that_pass_do_not_slow_a_long_load_down",
    "kserve#4247: a full queue": "test_more_than_may_wait_is_told_to_try_again_and_all_is_free_afterwards",
    "triton#5757: a promotion at full load": "test_no_request_fails_while_versions_are_exchanged_at_full_load",
    "serving#1866: a model loads beside": "test_other_models_load_while_one_takes_its_time",
    "serving#2017: an exchange with memory for one and a half": (
        "test_where_memory_is_short_of_two_copies_idle_models_go_first_and_else_the_old_version_stays"
    ),
    "MLServer#986: loads and unloads without end": "test_memory_after_many_loads_is_that_after_a_few",
    "ray#65346: many first calls": "test_a_thousand_who_ask_at_once_wait_for_one_load",
    "ray#65825: freed before use": "test_nothing_in_use_is_freed",
    "modelmesh-serving#455: one model more than room": (
        "test_one_model_more_than_there_is_room_for_ends_in_bounded_time"
    ),
    "ollama#18282: a model larger than all memory": (
        "test_a_model_that_can_never_fit_is_refused_at_once_and_frees_nothing"
    ),
    "MLServer#957: the index after an unload": "test_a_store_needs_no_registry_to_list_load_and_unload_its_models",
    "MLServer#1431: a worker that is killed; uvicorn#2506: one that is slow; kserve#5446: a connection that idles": (
        "test_a_killed_worker_is_replaced_while_the_other_answers_and_a_slow_one_is_not_killed"
    ),
    "gunicorn#3038: a worker that ends while its connections are kept": "test_a_stop_answers_what_was_asked",
    "kserve#6167: no storage for the log": "test_storage_that_is_away_costs_disk_and_no_memory",
    "litellm#39136: names that callers make up": "test_names_that_callers_make_up_add_one_series",
    "SageMaker: a model overwritten in place": "test_damaged_artifacts_are_neither_kept_nor_promoted",
}


def test_each_report_has_its_test() -> None:
    texts = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    names = {name for text in texts for name in re.findall(r"def (test_\w+)", text)}
    assert [report for report, test in RECIPES.items() if test not in names] == []
