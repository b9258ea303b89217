"""docker-compose.yml and what it reads: valid, local, pinned, without secrets, and the servers of services/start.py."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from jobs.serving.access.keys import hash_of
from jobs.serving.requests.patience import Gate
from jobs.serving.watching.metrics import ServiceMetrics
from jobs.streaming.progress import RunMetrics
from schemas.feed import Feed
from schemas.settings import Key
from services.programs import built
from streamscore.models.cache import Limits, ModelCache

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
REFERENCE = pytest.mark.needs("compose")  # the specification's own parser
OURS = {"streamscore", "streamscore-store"}
ENDS = {"bucket"}  # a one-shot
VARIABLE = re.compile(r"\$\{(\w+)(:[?-][^}]*)?\}")


def services() -> dict[str, dict[str, Any]]:
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]


def example() -> dict[str, str]:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def secrets_of(variables: dict[str, str]) -> set[str]:
    return {name for name, value in variables.items() if not value}


def parsed(folder: Path, text: str) -> "subprocess.CompletedProcess[str]":
    """What the reference parser says of a compose file: schema and interpolation. No variable reaches it."""
    (folder / "docker-compose.yml").write_text(text)
    command = [str(built("compose")), "--format", "json", "docker-compose.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@REFERENCE
def test_the_reference_parser_of_the_compose_specification_accepts_it(tmp_path: Path) -> None:
    filled = VARIABLE.sub(lambda found: example()[found[1]] or "filled-in", COMPOSE.read_text(encoding="utf-8"))
    done = parsed(tmp_path, filled)
    assert done.returncode == 0, done.stderr
    model = json.loads(done.stdout)["services"]
    assert set(model) == set(services())
    assert model["stream"]["environment"]["AWS_SECRET_ACCESS_KEY"] == "filled-in"
    assert {"published": "9000", "host_ip": "127.0.0.1"}.items() <= model["store"]["ports"][0].items()


@REFERENCE
def test_without_secrets_nothing_starts(tmp_path: Path) -> None:
    done = parsed(tmp_path, COMPOSE.read_text(encoding="utf-8"))
    assert (done.returncode, "STORE_PASSWORD is missing a value: write it into .env" in done.stderr) == (1, True)


@REFERENCE
def test_the_reference_parser_refuses_an_unknown_key(tmp_path: Path) -> None:
    assert "services.a.prots" in parsed(tmp_path, "name: wrong\nservices: {a: {image: x, prots: []}}\n").stderr


def test_every_published_port_is_on_loopback() -> None:
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_every_image_of_others_is_pinned() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE))
    images = [service["image"] for service in services().values() if service["image"] not in OURS]
    images += [image for image in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) if image not in stages]
    assert len(images) >= 6
    assert [image for image in images if not re.search(r":v?\d[\w.-]*$|:bookworm-\d{8}-slim$", image)] == []
    assert [service["build"]["target"] for service in services().values() if service["image"] in OURS]


def test_everything_that_runs_on_is_restarted_and_has_a_health_check() -> None:
    for name, service in services().items():
        assert ("healthcheck" in service) == (name not in ENDS), name
        assert service["restart"] == ("on-failure" if name in ENDS else "unless-stopped"), name


def test_whoever_waits_waits_for_the_health_of_somebody_who_is_there() -> None:
    for name, service in services().items():
        for other, wait in service.get("depends_on", {}).items():
            assert other in services()
            wanted = "service_completed_successfully" if other in ENDS else "service_healthy"
            assert wait["condition"] == wanted, f"{name} waits for {other}"


def test_secrets_are_asked_for_and_never_written() -> None:
    text = COMPOSE.read_text(encoding="utf-8")
    used = {name: default or "" for name, default in VARIABLE.findall(text)}
    assert set(used) == set(example())
    secrets = secrets_of(example())
    assert secrets == {"STORE_PASSWORD", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "API_KEY"}
    assert all(used[name].startswith(":?") for name in secrets)
    for service in services().values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|ACCESS_KEY|BACKEND_STORE_URI", name):
                assert VARIABLE.search(value), name
    assert "/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_volumes_mounted_files_and_copied_files_are_there() -> None:
    named = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["volumes"]
    for service in services().values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in named, source
    context = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert all((ROOT / line[1:]).exists() for line in context if line.startswith("!"))


def test_the_image_is_built_with_all_that_its_commands_need() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    commands = re.findall(r"(\w+)/\w+\.sh", (ROOT / "Dockerfile").read_text("utf-8"))
    tools = {"services"}  # named in a comment only: the image of the store builds its own
    assert {*wheel["only-include"], *commands} - tools <= let_in


def test_it_has_the_servers_of_make_services() -> None:
    from services.object_store import REGION
    from services.start import BUCKET, MLFLOW_PORT, STORE_PORT

    profile = yaml.safe_load((ROOT / "conf/minio.yaml").read_text(encoding="utf-8"))
    assert {"store", "postgres", "mlflow"} <= set(services())
    assert set(services()) - {"store", "postgres", "mlflow"} == {"bucket", "stream", "api", "prometheus", "grafana"}
    assert (example()["STORE_PORT"], example()["MLFLOW_PORT"]) == (str(STORE_PORT), str(MLFLOW_PORT))
    assert profile["storage"] == {"endpoint": f"http://127.0.0.1:{STORE_PORT}", "region": REGION, "path_style": True}
    assert profile["registry"] == {"tracking_uri": f"http://127.0.0.1:{MLFLOW_PORT}"}
    assert profile["landing"].startswith(f"s3://{BUCKET}/")
    assert f'Bucket="{BUCKET}"' in services()["bucket"]["command"][0]
    assert services()["mlflow"]["environment"]["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == f"s3://{BUCKET}/models"


def test_the_image_of_the_store_is_built_at_the_version_of_the_tests() -> None:
    pinned = re.compile(r"github\.com/minio/minio@(\S+)")
    versions = [
        pinned.findall((ROOT / name).read_text(encoding="utf-8")) for name in ("Dockerfile", "services/tools.sh")
    ]
    assert versions[0] == versions[1] and len(versions[0]) == 1


def test_the_dashboard_asks_for_metrics_that_there_are(feed: Feed) -> None:
    metrics = RunMetrics(feed)
    known = {sample for metric in metrics.registry.collect() for sample in names_of(metric)}
    board = json.loads((ROOT / "conf/grafana/dashboards/stream.json").read_text(encoding="utf-8"))
    asked = {name for panel in board["panels"] for target in panel["targets"] for name in metrics_in(target["expr"])}
    assert asked - known == set()
    assert {metric.split("_bucket")[0] for metric in asked} >= {"streamscore_registry_up", "streamscore_batch_seconds"}
    datasource = yaml.safe_load(
        (ROOT / "conf/grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8")
    )["datasources"][0]
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {datasource["uid"]}
    assert datasource["url"] == "http://prometheus:9090"


def test_the_dashboard_of_the_service_asks_for_metrics_that_there_are() -> None:
    metrics = ServiceMetrics(ModelCache[Any, Any](lambda *_: None, Limits(1, 1)), Gate(), None, {})  # type: ignore[arg-type]
    known = {sample for metric in metrics.registry.collect() for sample in names_of(metric)}
    board = json.loads((ROOT / "conf/grafana/dashboards/service.json").read_text(encoding="utf-8"))
    asked = {name for panel in board["panels"] for target in panel["targets"] for name in metrics_in(target["expr"])}
    assert asked - known == set()
    assert len(asked) > 10


def test_the_service_has_a_key_and_prometheus_knows_it(tmp_path: Path) -> None:
    api = services()["api"]
    command = f"{api['entrypoint'][2].replace('$$', '$')}".replace("exec streamscore serve", "exec env #")
    done = subprocess.run(
        ["sh", "-c", command],
        env={"API_KEY": "mine", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    said = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    (key,) = TypeAdapter(tuple[Key, ...]).validate_json(said["STREAMSCORE_SERVING__KEYS"])
    assert (key.hash, key.admin, "API_KEY" in said) == (hash_of("mine"), True, False)
    secrets = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["secrets"]
    assert secrets == {"api_key": {"environment": "API_KEY"}}
    scraped = yaml.safe_load((ROOT / "conf/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (job,) = (job for job in scraped if job["job_name"] == "api")
    assert job["authorization"]["credentials_file"] == "/run/secrets/api_key"
    assert services()["prometheus"]["secrets"] == ["api_key"]
    port = re.search(r"--port (\d+)", api["entrypoint"][2])
    assert port and job["static_configs"] == [{"targets": [f"api:{port[1]}"]}]


def test_prometheus_looks_where_the_stream_serves() -> None:
    scraped = yaml.safe_load((ROOT / "conf/prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    command = services()["stream"]["command"]
    port = command[command.index("--metrics-port") + 1]
    assert [f"stream:{port}"] in [job["static_configs"][0]["targets"] for job in scraped]


def names_of(metric: Any) -> set[str]:
    return {f"{metric.name}{suffix}" for suffix in ("", "_total", "_bucket", "_count", "_sum")}


def metrics_in(expression: str) -> list[str]:
    return re.findall(r"\bstreamscore_\w+", expression)
