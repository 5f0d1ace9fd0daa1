# The trainer, with the monitor, for machines without a GPU:
# docker build -f deploy/docker/trainer.Dockerfile -t andon-trainer .
#
# UV_INDEX: an index with CPU builds of torch. Without one, the image has torch's usual build, without GPU libraries.
# The other arguments are the monitor's.
ARG BASE=debian:trixie-slim@sha256:d7e12182ce18b85b93007c1dedf31f2d29e01ccf3182cc4017c709b6259bc132

FROM ${BASE} AS build
# No versions: whatever Debian's security team has published last.
# hadolint ignore=DL3008
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
    binutils ca-certificates python3-venv
COPY deploy/docker/root.sh /
# Commands of the shell, for scripts that run several commands of the trainer.
RUN sh /root.sh /root-of-image python3.13 coreutils libacl1 libattr1 libpcre2-8-0 libselinux1

WORKDIR /src
# Certificates of an index, where they are not Debian's: a file in the container.
ARG SSL_CERT_FILE UV_INDEX
# Compiled once, with the last package.
ENV PATH=/opt/tools/bin:$PATH UV_NO_CACHE=1 UV_COMPILE_BYTECODE=0
COPY pyproject.toml constraints.txt torch-cpu.txt ./
COPY tools/locked.py tools/
RUN python3 -m venv /opt/tools && python3 tools/locked.py --uv --into /opt/tools \
    && python3 tools/locked.py --only hatchling hatch-vcs --into /opt/tools
RUN python3 -m venv --without-pip /opt/andon \
    && python3 tools/locked.py trainer-base,cpu --torch stubs --into /opt/andon
COPY deploy/docker/cpu_torch.sh ./
# torch/bin: programs to build extensions, but for the one that shares memory.
RUN packages=/opt/andon/lib/python3.13/site-packages && sh cpu_torch.sh "$packages" \
    && find "$packages/torch/bin" -type f ! -name torch_shm_manager -delete
COPY hatch_build.py README.md LICENSE NOTICE ./
COPY monitor monitor
COPY trainer trainer
ARG VERSION
RUN export ${VERSION:+SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION} \
    && uv build --wheel --no-build-isolation --python /opt/tools/bin/python --out-dir /tmp/wheel \
    && uv pip install --python /opt/andon/bin/python --no-deps --compile-bytecode /tmp/wheel/*.whl

FROM scratch
COPY --from=build /root-of-image /
COPY --from=build /opt/andon /opt/andon
USER 10001:10001
# Matplotlib keeps a cache of fonts.
ENV PATH=/opt/andon/bin:/usr/bin LANG=C.UTF-8 MPLCONFIGDIR=/tmp/matplotlib
# A volume mounted over /data is the user's, as the folder is.
WORKDIR /data
ENTRYPOINT ["/opt/andon/bin/andon-trainer"]
CMD ["--help"]
# A command that ends has no health.
HEALTHCHECK NONE
ARG VERSION REVISION CREATED SOURCE
LABEL org.opencontainers.image.title="Andon trainer" \
    org.opencontainers.image.description="Fits a model to images of good parts, on a CPU" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION" \
    org.opencontainers.image.created="$CREATED" \
    org.opencontainers.image.source="$SOURCE"
