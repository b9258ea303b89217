"""Passwords of URIs: never shown, and read by everybody as they were meant."""

from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from schemas.errors import RegistryError, StreamscoreError
from schemas.passwords import with_encoded_password, without_passwords

SECRET = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=4).map("hidden".__add__)
WITH_SPACES = st.lists(SECRET, min_size=2, max_size=4).map(" ".join)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ann:p@ss/w0rd@db:5432/mlflow", "postgresql://ann:…@db:5432/mlflow"),
        ("postgresql+psycopg2://ann:p/w?x#y@db/mlflow", "postgresql+psycopg2://ann:…@db/mlflow"),
        ("'http://ann:p%40s@host:5000/a' says no", "'http://ann:…@host:5000/a' says no"),
        ("https://dapi0123456789@host/x", "https://…@host/x"),
        ("postgresql://ann@db/mlflow", "postgresql://ann@db/mlflow"),
        ("postgresql://:p@db/mlflow", "postgresql://:…@db/mlflow"),
        ("postgresql://db/mlflow?user=ann&password=p@s/s&x=1", "postgresql://db/mlflow?user=ann&password=…&x=1"),
        ("mssql+pyodbc:///?odbc_connect=UID%3Da%3BPWD%3Dp", "mssql+pyodbc:///?odbc_connect=…"),
        ("s3://KEY:sec/ret@bucket/in: wanted a folder", "s3://KEY:…@bucket/in: wanted a folder"),
        ("http://u:p@a and http://v:q@b", "http://u:…@a and http://v:…@b"),
        ("no models:/wine@production in http://host:5000; x", "no models:/wine@production in http://host:5000; x"),
        ("host=db user=ann password=p port=1", "host=db user=ann password=… port=1"),
        ("AWS_SECRET_ACCESS_KEY=p STREAMSCORE_X=y", "AWS_SECRET_ACCESS_KEY=… STREAMSCORE_X=y"),
        ("{'password': 'p', \"api_key\": \"q\", 'x': 1}", "{'password': '…', \"api_key\": \"…\", 'x': 1}"),
        ("{'password': 'p q', \"api_key\": \"q' \\\" r\"}, 'x'", "{'password': '…', \"api_key\": \"…\"}, 'x'"),
        ("host=db password='p q' port=1", "host=db password='…' port=1"),
        ("host=db password=p\\ q port=1", "host=db password=… port=1"),
        ("Server=x;UID=a;PWD=p q r;Encrypt=yes", "Server=x;UID=a;PWD=…;Encrypt=yes"),
        ("Server=x;PWD={p; q};Encrypt=yes", "Server=x;PWD=…};Encrypt=yes"),
        ("AccountName=a;AccountKey=p==;EndpointSuffix=x", "AccountName=a;AccountKey=…;EndpointSuffix=x"),
        ("https://h/c?sv=1&sig=p%3D&se=2", "https://h/c?sv=1&sig=…&se=2"),
        ("https://h/k?X-Amz-Credential=p&X-Amz-Signature=q", "https://h/k?X-Amz-Credential=…&X-Amz-Signature=…"),
        ("Authorization: Bearer p.q; x", "Authorization: Bearer … x"),
        ("git+https://ghp_p@github.com/x", "git+https://…@github.com/x"),
        ("the token of the lease, a key: id", "the token of the lease, a key: id"),
        ("sqlite:////home/a@b/c:d/mlflow.db", "sqlite:////home/a@b/c:d/mlflow.db"),
        ("s3://bucket/a:b@c.csv", "s3://bucket/a:b@c.csv"),
        ("no answer from postgresql://ann:my p@ss word@db/mlflow: x", "no answer from postgresql://ann:…@db/mlflow: x"),
        ("postgresql://ann:pass word@db\nwrite to me@home", "postgresql://ann:…@db\nwrite to me@home"),
        ("mysql://ann:12 34@db/mlflow", "mysql://ann:…@db/mlflow"),
        ("mysql://ann:a b:/c@db/mlflow", "mysql://ann:…@db/mlflow"),
        ("http://host:5000 has no wine@production", "http://host:5000 has no wine@production"),
        ("http://ann:5000 a@host/x", "http://ann:5000 a@host/x"),  # a port, by its look
        ("postgresql://db:5432 has no models:/wine@production", "postgresql://db:5432 has no models:/wine@production"),
        ("s3://bucket: wanted a folder, not a@b", "s3://bucket: wanted a folder, not a@b"),
        ("http://u:p q@a and models:/x@y, 'http://v:q r@b'", "http://u:…@a and models:/x@y, 'http://v:…@b'"),
    ],
)
def test_the_password_of_a_uri_is_left_out_and_nothing_else(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@given(SECRET | WITH_SPACES, st.sampled_from(["postgresql", "mysql+pymysql", "http", "s3"]))
def test_no_password_is_shown_whatever_it_is_made_of(secret: str, scheme: str) -> None:
    for written in (secret, quote(secret, safe="")):
        uri = f"{scheme}://ann:{written}@host:5432/name"
        assert (
            without_passwords(f"nobody answers at {uri}: x") == f"nobody answers at {scheme}://ann:…@host:5432/name: x"
        )


@given((SECRET | WITH_SPACES).filter(lambda secret: "%" not in secret))
def test_a_password_written_as_it_is_reaches_the_database_and_the_server(secret: str) -> None:
    database = make_url(with_encoded_password(f"postgresql://ann:{secret}@db:5432/mlflow"))
    assert (database.password, database.host, database.port) == (secret, "db", 5432)
    server = urlsplit(with_encoded_password(f"http://ann:{secret}@host:5000"))
    assert (unquote(server.password or ""), server.hostname, server.port) == (secret, "host", 5000)


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://ann:p%40ss@db/mlflow?options=a@b",
        "postgresql://db:5432/mlflow?options=a@b",
        "http://host:5000/a@b",
        "http://host/a@b",
        "sqlite:////a@b:c/mlflow.db",
        "databricks://profile",
        "uc:profile@x",
        "postgresql://ann@db/mlflow",
        "",
    ],
)
def test_a_uri_that_is_right_stays_as_it_is(uri: str) -> None:
    assert with_encoded_password(uri) == uri


def test_no_error_of_ours_shows_a_password() -> None:
    for kind in (StreamscoreError, RegistryError):
        assert "hidden" not in str(kind("no answer from http://ann:hid/hidden@host:5000"))
