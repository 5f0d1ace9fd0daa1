# The trainer, with torch for a machine without a GPU: docker build -f deploy/docker/trainer.Dockerfile -t andon-trainer .
FROM python:3.13.9-slim-trixie AS build
WORKDIR /src
COPY pyproject.toml hatch_build.py constraints.txt torch-cpu.txt README.md LICENSE NOTICE ./
COPY monitor monitor
COPY trainer trainer
# As tools/set_up.py does where pip finds no CPU build of torch: without the GPU libraries that it can do without.
RUN python -m venv /opt/andon \
    && /opt/andon/bin/pip install --no-cache-dir --constraint constraints.txt ".[trainer-base,cpu]" \
    && /opt/andon/bin/pip install --no-cache-dir --no-deps --requirement torch-cpu.txt \
    && /opt/andon/bin/pip uninstall --yes pip

FROM python:3.13.9-slim-trixie
COPY --from=build /opt/andon /opt/andon
# A volume mounted over /data is the user's, as the folder is.
RUN useradd --system --uid 10001 andon && install -d -o andon /data
USER 10001
WORKDIR /data
ENV PATH=/opt/andon/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib
ENTRYPOINT ["andon-trainer"]
CMD ["--help"]
