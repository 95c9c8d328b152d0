# docker build -t venuegate .
# docker run --read-only --cap-drop ALL --stop-timeout 20 -v venuegate:/data -p 127.0.0.1:8080:8080 venuegate serve --demo --host 0.0.0.0
#
# Without `serve …` it is production, and needs a master key: mount a file that uid 10001 alone can read, and name it in
# VENUEGATE_MASTER_KEY_FILE. Orders under way are finished within 15 s of SIGTERM, hence the longer --stop-timeout.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/venuegate
COPY requirements.lock ./
RUN /opt/venuegate/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY normalization normalization
COPY sandbox sandbox
COPY storage storage
COPY adapters adapters
COPY gateway gateway
COPY mcp_server mcp_server
RUN /opt/venuegate/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/venuegate/bin/pip uninstall --yes setuptools pip

FROM python:3.12-slim
RUN groupadd --gid 10001 venuegate \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin venuegate \
    && install --directory --owner venuegate --group venuegate --mode 0700 /data
COPY --from=build /opt/venuegate /opt/venuegate
ENV PATH=/opt/venuegate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    VENUEGATE_DATA_DIR=/data \
    VENUEGATE_METRICS_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as u; u.urlopen(f\"http://127.0.0.1:{os.environ.get('VENUEGATE_PORT') or 8080}/healthz\", timeout=2)"]
ENTRYPOINT ["venuegate"]
CMD ["serve", "--host", "0.0.0.0"]
