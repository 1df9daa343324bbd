# The slim image of Python 3.13 by its digest (all platforms), as docker-library/repo-info told it on 2026-08-05 (Python 3.13.14). To take a newer one:
# docker buildx imagetools inspect python:3.13-slim, and write its digest here.
ARG BASE=python:3.13-slim@sha256:9662417aace5ae7b8e2609cce472b72a8958e134ba372808abe9cc1a0c0125e6

# Stage 1: the serving environment, from the lock file with its hashes; no compiler, no tools of development.
FROM ${BASE} AS build
RUN pip install --no-cache-dir uv==0.13.8
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/gatehouse UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --no-cache
COPY README.md LICENSE NOTICE ./
COPY platform platform
COPY alembic alembic
COPY models models
RUN uv sync --frozen --no-dev --no-editable --no-cache

# Stage 2: that environment and nothing else. It runs as another user than root on a read-only file system; all that is written lies in /data:
# docker run --read-only --tmpfs /tmp -v gatehouse:/data -p 127.0.0.1:8000:8000 gatehouse
FROM ${BASE}
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin gatehouse \
    && install -d -o gatehouse -g gatehouse -m 700 /data
COPY --from=build /opt/gatehouse /opt/gatehouse
ENV PATH=/opt/gatehouse/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEHOUSE_STATE_DIR=/data \
    GATEHOUSE_LISTEN_HOST=0.0.0.0
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('GATEHOUSE_LISTEN_PORT', '8000') + '/health/live', timeout=2)"]
ENTRYPOINT ["gatehouse"]
CMD ["serve"]
