import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from schemas.errors import SettingsError
from schemas.settings import Key, Serving, Settings, as_variables, load_settings


@pytest.fixture
def profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a profile into ./conf of the working folder."""
    for name in [name for name in os.environ if name.startswith("STREAMSCORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()

    def write(text: str, name: str = "mine") -> Any:
        (tmp_path / "conf" / f"{name}.yaml").write_text(text)
        return name

    return write


def test_a_flag_beats_a_variable_beats_a_profile_beats_the_default(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = profile("streaming: {max_files: 3, trigger: 5 seconds, mode: executors}\n")
    monkeypatch.setenv("STREAMSCORE_STREAMING__MAX_FILES", "2")
    monkeypatch.setenv("STREAMSCORE_STREAMING__TRIGGER", "2 seconds")
    streaming = load_settings(name, {"streaming.max_files": 1}).streaming
    assert (streaming.max_files, streaming.trigger, streaming.mode, streaming.clean) == (
        1,
        "2 seconds",
        "executors",
        "off",
    )


def test_a_flag_that_was_not_given_decides_nothing(profile: Callable[..., str]) -> None:
    name = profile("landing: /from/profile\n")
    assert load_settings(name, {"landing": None, "streaming.max_files": None}).landing == "/from/profile"


def test_flags_of_one_block_leave_the_others_of_it_alone(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMSCORE_TABLES__WRITER", "delta-spark")
    tables = load_settings(None, {"tables.path": "/t"}).tables
    assert (tables.path, tables.writer) == ("/t", "delta-spark")


@pytest.mark.parametrize("given", [None, {}, {"landing": None}])
def test_without_anything_the_profile_is_local_and_the_defaults_hold(
    profile: Callable[..., str], given: dict[Any, Any] | dict[str, None] | None
) -> None:
    settings = load_settings(None, given)
    assert (settings.profile, settings.landing, settings.registry.poll_seconds) == ("local", "var/landing/{feed}", 2.0)


def test_the_profile_comes_from_the_flag_then_from_its_variable(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    profile("landing: /a\n", "a")
    profile("landing: /b\n", "b")
    monkeypatch.setenv("STREAMSCORE_PROFILE", "b")
    assert (load_settings().landing, load_settings().profile) == ("/b", "b")
    assert (load_settings("a").landing, load_settings("a").profile) == ("/a", "a")


def test_a_profile_of_the_working_folder_comes_before_the_packaged_one(profile: Callable[..., str]) -> None:
    profile("landing: /here\n", "local")
    assert load_settings().landing == "/here"


def test_an_unknown_profile_is_told_with_the_nearest(profile: Callable[..., str]) -> None:
    with pytest.raises(SettingsError, match="no profile 'locall': did you mean 'local'"):
        load_settings("locall")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("streaming: {max_file: 3}\n", r"unknown key 'streaming.max_file'; did you mean 'max_files'\?.*conf/mine.yaml"),
        ("streaming: {max_files: many}\n", "'streaming.max_files': .*found 'many'"),
        ("streaming: {mode: drivers}\n", "'streaming.mode': .*'driver'.*found 'drivers'"),
        ("landin: /a\n", r"unknown key 'landin'; did you mean 'landing'\?"),
        ("metrics: {port: 70000}\n", "'metrics.port'"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_a_wrong_profile_is_told_by_key_found_and_nearest(profile: Callable[..., str], text: str, message: str) -> None:
    name = profile(text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(name)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("STREAMSCORE_LANDIN", r"unknown variable STREAMSCORE_LANDIN: did you mean STREAMSCORE_LANDING\?"),
        ("STREAMSCORE_STREAMING__MAXFILES", r"did you mean STREAMSCORE_STREAMING__MAX_FILES\?"),
        ("STREAMSCORE_XYZZY", "unset it"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(SettingsError, match=message):
        load_settings()


def of_service(name: str, address: str = "10.0.0.1", port: str = "http") -> dict[str, str]:
    """What Kubernetes puts into containers for a Service with one named port; see its docs, "Discovering services"."""
    at = f"[{address}]" if ":" in address else address
    return {
        f"{name}_SERVICE_HOST": address,
        f"{name}_SERVICE_PORT": "80",
        f"{name}_SERVICE_PORT_{port.upper()}": "80",
        f"{name}_PORT": f"tcp://{at}:80",
        f"{name}_PORT_80_TCP": f"tcp://{at}:80",
        f"{name}_PORT_80_TCP_PROTO": "tcp",
        f"{name}_PORT_80_TCP_PORT": "80",
        f"{name}_PORT_80_TCP_ADDR": address,
    }


@pytest.mark.parametrize("service", ["STREAMSCORE", "STREAMSCORE_METRICS", "STREAMSCORE_SERVICE", "STREAMSCORE_PORT_8"])
@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1"])
def test_the_variables_of_a_kubernetes_service_are_no_settings(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch, service: str, address: str
) -> None:
    for variable, value in of_service(service, address).items():
        monkeypatch.setenv(variable, value)
    assert load_settings().metrics.port == 0


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("STREAMSCORE_PORT", "9000"),
        ("STREAMSCORE_METRICS_PORT", "9000"),
        ("STREAMSCORE_METRICS_HOST", "10.0.0.1"),
        ("STREAMSCORE_SERVICE_HOST", "db.local"),
        ("STREAMSCORE_STORAGE_PORT", "http://10.0.0.1:9000"),
        ("streamscore_landin", "/in"),
    ],
)
def test_a_typing_error_is_refused_although_it_looks_like_one_of_them(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"unknown variable {variable}"):
        load_settings()


def test_a_wrong_value_of_a_variable_is_told(profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSCORE_METRICS__PORT", "http")
    with pytest.raises(SettingsError, match=r"'metrics\.port'.*found 'http'"):
        load_settings()


def test_an_unknown_flag_is_refused_with_the_nearest(profile: Callable[..., str]) -> None:
    with pytest.raises(SettingsError, match=r"unknown key 'tables.writr'; did you mean 'writer'\?"):
        load_settings(None, {"tables.writr": "x"})


def test_an_empty_profile_is_all_defaults(profile: Callable[..., str]) -> None:
    assert load_settings(profile("")).streaming == load_settings().streaming


def test_variables_that_are_no_settings_are_left_alone(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMSCORE_FAIL_AT", "before-ledger")
    load_settings()


@given(st.integers(1, 10**6), st.floats(0.001, 1e6))
def test_every_value_of_a_type_goes_through_as_it_is(files: Any, seconds: Any) -> None:
    settings = load_settings(None, {"streaming.max_files": files, "registry.poll_seconds": seconds})
    assert (settings.streaming.max_files, settings.registry.poll_seconds) == (files, seconds)


def test_a_block_goes_through_variables_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        block = getattr(Settings(), name)
        if isinstance(block, BaseModel):  # null among its values, too
            for variable, value in as_variables(name, block.model_dump(mode="json")).items():
                monkeypatch.setenv(variable, value)
    key = Key(name="web", hash="sha256:" + "0" * 64, predict=("a*", "b"), expires=date(2030, 1, 1))
    serving = Serving(keys=(key,), admin_port=8001, max_model_bytes=None)
    for variable, value in as_variables("serving", serving.model_dump(mode="json")).items():
        monkeypatch.setenv(variable, value)
    assert load_settings("local").serving == serving
    assert load_settings("local").streaming == Settings().streaming


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("registry.poll_seconds", "inf"),
        ("storage.retry_seconds", "1e400"),
        ("tables.keep_log_hours", float("inf")),
        ("streaming.full_look_seconds", 2e9),
        ("streaming.max_bytes", 2**63),
    ],
)
def test_a_number_that_no_clock_and_no_counter_takes_is_refused(key: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"setting '{key}': .*found "):
        load_settings(flags={key: value})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n", "wanted keys with values, as landing: /data/in"),
        ("hello\n", "found 'hello', wanted keys"),
        ("1: 2\n", "wanted keys with values"),
        ("streaming: {clean: off}\nstreaming: {clean: delete}\n", "key 'streaming' is there twice; leave one.*line 2"),
    ],
)
def test_a_profile_that_is_no_mapping_or_says_one_thing_twice_is_refused(
    profile: Callable[..., str], text: str, said: str
) -> None:
    with pytest.raises(SettingsError, match=f"mine.yaml.*{said}"):
        load_settings(profile(text))


@pytest.mark.parametrize("name", ["STREAMING", "SPARK__CONF", "MODELS__FLAVORS"])
def test_a_variable_that_is_no_json_is_named_without_its_value(
    profile: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("STREAMSCORE_MODELS__MANIFEST", "warn")
    monkeypatch.setenv(f"STREAMSCORE_{name}", "a,hidden")
    with pytest.raises(SettingsError, match=f"STREAMSCORE_{name} is no JSON, wanted") as refused:
        load_settings(profile(""))
    assert "hidden" not in str(refused.value)
