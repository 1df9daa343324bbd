# Stage 1: the serving environment, from the lock file with its hashes; no compiler, no tools of development.
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir "uv>=0.13.8,<0.14"
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/gatehouse UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --no-cache
COPY README.md LICENSE NOTICE ./
COPY platform platform
COPY alembic alembic
RUN uv sync --frozen --no-dev --no-editable --no-cache

# Stage 2: that environment and nothing else. It runs as another user than root on a read-only file system;
# all that is written lies in /var/lib/gatehouse: docker run --read-only -v gatehouse:/var/lib/gatehouse …
FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin gatehouse \
    && install -d -o gatehouse -g gatehouse -m 700 /var/lib/gatehouse
COPY --from=build /opt/gatehouse /opt/gatehouse
ENV PATH=/opt/gatehouse/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEHOUSE_STATE_DIR=/var/lib/gatehouse \
    GATEHOUSE_LISTEN_HOST=0.0.0.0
USER 10001
WORKDIR /var/lib/gatehouse
VOLUME /var/lib/gatehouse
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('GATEHOUSE_LISTEN_PORT', '8000') + '/health/live', timeout=2)"]
CMD ["gatehouse", "serve"]
