# The monitor alone, without torch: docker build -f deploy/docker/monitor.Dockerfile -t andon-monitor .
# --build-arg EXTRAS=gpu: for an NVIDIA GPU, with the CUDA libraries that onnxruntime needs. EXTRAS=cpu,camera: for network
# cameras, too. EXTRAS=cpu,actions: acts on verdicts (output.actions, bridge).
FROM python:3.13.9-slim-trixie AS build
ARG EXTRAS=cpu
WORKDIR /src
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE ./
COPY monitor monitor
COPY trainer trainer
RUN python -m venv /opt/andon \
    && /opt/andon/bin/pip install --no-cache-dir --constraint constraints.txt ".[$EXTRAS]" \
    && case "$EXTRAS" in *gpu*) \
        /opt/andon/bin/pip install --no-cache-dir --constraint constraints.txt 'onnxruntime-gpu[cuda,cudnn]';; esac \
    && /opt/andon/bin/pip uninstall --yes pip

FROM python:3.13.9-slim-trixie
COPY --from=build /opt/andon /opt/andon
# A volume mounted over /state is the user's, as the folder is.
RUN useradd --system --uid 10001 andon && install -d -o andon /state
USER 10001
ENV ANDON_SERVER_ADDRESS=0.0.0.0
# Where the CUDA libraries are with EXTRAS=gpu.
ENV LD_LIBRARY_PATH=/opt/andon/lib/python3.13/site-packages/nvidia/cu13/lib:/opt/andon/lib/python3.13/site-packages/nvidia/cudnn/lib
EXPOSE 9464
ENTRYPOINT ["/opt/andon/bin/andon-monitor"]
CMD ["run"]
