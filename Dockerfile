# Two images: `store` (MinIO, of which none is published any more) and `streamscore` (the stream, and MLflow's server).

FROM golang:1.25.3-bookworm AS minio
# The version of services/tools.sh.
RUN CGO_ENABLED=0 GOBIN=/out go install github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c

FROM debian:bookworm-20250929-slim AS store
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1000 store && install -d -o store /data
COPY --from=minio /out/minio /usr/local/bin/minio
USER store
EXPOSE 9000 9001
ENTRYPOINT ["minio"]

FROM python:3.11.13-slim-bookworm AS base
# Debian's Java wants the folder of its manual pages, which slim images leave out.
RUN mkdir -p /usr/share/man/man1 && apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless procps && rm -rf /var/lib/apt/lists/*
WORKDIR /app

FROM base AS setup
COPY . .
# As on a laptop; then without what only tests and linting need.
RUN UV_COMPILE_BYTECODE=1 scripts/setup.sh \
    && .venv/bin/uv pip uninstall --quiet --python .venv/bin/python chispa hypothesis mypy pytest ruff types-pyyaml \
    && rm -rf .jars/.ivy

FROM base AS streamscore
COPY --from=setup /app /app
RUN useradd --create-home --uid 1000 streamscore && install -d -o streamscore /app /app/var
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
USER streamscore
EXPOSE 5000 9108
ENTRYPOINT ["streamscore"]
