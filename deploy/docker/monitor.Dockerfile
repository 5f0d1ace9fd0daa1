# The monitor alone, without torch: docker build -f deploy/docker/monitor.Dockerfile -t andon-monitor .
#
# EXTRAS: extras of pyproject.toml. cpu,actions,review,camera is for network cameras, too; cuda,actions,review for an NVIDIA GPU,
# with the CUDA libraries that onnxruntime needs. VERSION, REVISION, CREATED, SOURCE: `make release` gives them.
ARG BASE=debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132

FROM ${BASE} AS build
# No versions: whatever Debian's security team has published last.
# hadolint ignore=DL3008
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    binutils ca-certificates python3-venv
COPY deploy/docker/root.sh /
RUN sh /root.sh /root-of-image python3.13

WORKDIR /src
# Certificates of an index, where they are not Debian's: a file in the container.
ARG SSL_CERT_FILE
# What is used is compiled at the end.
ENV PATH=/opt/tools/bin:$PATH UV_NO_CACHE=1 UV_COMPILE_BYTECODE=0
COPY pyproject.toml constraints.txt ./
COPY tools/locked.py tools/
RUN python3 -m venv /opt/tools && python3 tools/locked.py --uv --into /opt/tools \
    && python3 tools/locked.py --only hatchling hatch-vcs --into /opt/tools
ARG EXTRAS=cpu,actions,review
RUN python3 -m venv --without-pip /opt/andon && python3 tools/locked.py "$EXTRAS" --into /opt/andon
COPY hatch_build.py README.md LICENSE NOTICE ./
COPY monitor monitor
COPY trainer trainer
ARG VERSION
RUN export ${VERSION:+SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION} \
    && uv build --wheel --no-build-isolation --python /opt/tools/bin/python --out-dir /tmp/wheel \
    && uv pip install --python /opt/andon/bin/python --no-deps /tmp/wheel/*.whl \
    && rm -r /opt/andon/bin/andon-trainer /opt/andon/lib/python3.13/site-packages/andon_trainer
COPY deploy/docker/slim.sh ./
RUN mkdir /root-of-image/opt && mv /opt/andon /root-of-image/opt/ && sh slim.sh /root-of-image andon_monitor

FROM scratch
COPY --from=build /root-of-image /
USER 10001:10001
ENV ANDON_SERVER_ADDRESS=0.0.0.0 LANG=C.UTF-8
# Where the CUDA libraries are with EXTRAS=cuda.
ENV LD_LIBRARY_PATH=/opt/andon/lib/python3.13/site-packages/nvidia/cu13/lib:/opt/andon/lib/python3.13/site-packages/nvidia/cudnn/lib
EXPOSE 9464
ENTRYPOINT ["/opt/andon/bin/andon-monitor"]
CMD ["run"]
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s --retries=3 \
    CMD ["/opt/andon/bin/python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9464/healthz', timeout=3)"]
ARG VERSION REVISION CREATED SOURCE
LABEL org.opencontainers.image.title="Andon monitor" \
    org.opencontainers.image.description="Says of every part on a production line whether it is good or a defect" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.created="$CREATED" \
    org.opencontainers.image.source="$SOURCE"
