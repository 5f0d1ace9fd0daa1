# Each target can be run first on a fresh machine: what it needs is set up in .venv and nowhere else.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# GPU libraries are installed where there is an NVIDIA GPU (auto), always (make GPU=1 ...) or never (make GPU=0 ...).
GPU ?= auto

# Python keeps what it compiled, whatever the environment says: each of the workers would compile all tests otherwise.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo kafka faults fuzz soak station bench bench-gpu bench-peers bench-clients bench-quality bench-folds \
    bench-choices test coverage wheel release try-release try-images check docs lock audit format clean

# The main job on one machine, with nothing but Python: train on rendered parts, then watch a recorded stream of a line
# that changes from one product to the other.
demo: $(READY)
	rm -rf demo
	$(BIN)/andon-trainer sample demo/part
	$(BIN)/andon-trainer fit demo/part -o demo/part.onnx --budget 3m --report demo/report.html
	$(BIN)/andon-trainer evaluate demo/part.onnx demo/part --json demo/evaluation.json
	$(BIN)/andon-trainer sample demo/line --line
	$(BIN)/andon-trainer fit demo/line/plate-bottom -o demo/plate-bottom.onnx --budget 90s
	$(BIN)/andon-trainer fit demo/line/cover-top -o demo/cover-top.onnx --budget 90s
	$(BIN)/andon-monitor run --config deploy/demo.yaml --source demo/line/stream \
	    --verdicts demo/verdicts.jsonl --summary demo/summary.json --evidence demo/review
	@echo
	@echo "Look at demo/report.html (what was learned, with heatmaps), demo/verdicts.jsonl (a line for every frame),"
	@echo "demo/parts.jsonl (a line for every part), demo/summary.json. To look at the defects and label them, run"
	@echo "    $(BIN)/andon-monitor review --store demo/review"
	@echo "and open http://127.0.0.1:9465; for a live line there, and metrics at http://127.0.0.1:9464/metrics, also run"
	@echo "    $(BIN)/andon-monitor run --config deploy/demo.yaml --source demo/line/stream --pace recorded --evidence demo/review"

# A local Kafka in the foreground: one node on port 9092, or make kafka NODES=3. Needs JDK 17 and Maven.
NODES ?= 1
kafka: $(READY)
	$(BIN)/python deploy/kafka/broker.py --nodes $(NODES)

# All the tests. Real components (browser, ...) are installed where they may be; tests whose component cannot be had are
# skipped and say why, or fail where ANDON_REQUIRE_ALL=1 (as .ci/run sets it).
test: $(READY)
	tests/components
	$(BIN)/python -m pytest -n auto --maxprocesses 4

# The same, with the lines and branches that no test runs.
coverage: $(READY)
	tests/components
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --cov --cov-report term:skip-covered --cov-report html:build/coverage

# Wheel and source archive in build/dist.
wheel: $(READY)
	$(BIN)/python -m build --outdir build/dist

# Everything that a release consists of, in dist/. Less or more of it: make release RELEASE="--image monitor --architecture arm64"
release: $(READY)
	$(BIN)/python deploy/release/release.py $(RELEASE)

# Install the artefacts in dist/ in new environments and do the main job; another Python: make try-release TRY="--python python3.12"
try-release:
	$(BIN)/python deploy/release/try_out.py dist $(TRY)

# Load the images in dist/ and do the main job in them, locked down; with podman: make try-images TRY="--engine podman"
try-images:
	$(BIN)/python deploy/release/try_images.py dist $(TRY)

# Two thousand faults against a real Kafka, in both delivery modes, and the account of every frame: a quarter of an hour.
faults: $(READY)
	$(BIN)/python -W ignore -m tests.monitor.kafka.faults

# Inputs that nobody sends by accident, for every reader: 1,000,000 images and 100,000 of each other kind; hours.
# Less of it: make fuzz FUZZ="--reader images --cases 50000"
fuzz: $(READY)
	$(BIN)/python -W ignore -m tests.fuzz $(FUZZ)

# A monitor with all its outputs on a stream in which every tenth frame is hostile: an hour, or make soak SOAK="--minutes 5".
soak: $(READY)
	tests/components
	$(BIN)/python -W ignore -m tests.soak $(SOAK)

# A simulated line with a reject gate, an hour's worth of parts for each fault; some minutes. Less: STATION="--minutes 5".
station: $(READY)
	$(BIN)/python -W ignore -m tests.benchmarks.station $(STATION)

# The monitor and the bare loop of its libraries, side by side: from memory, from a recording, through a real Kafka; half an hour.
# Less of it: make bench BENCH="--workload grey-jpeg-small --way memory --rounds 5"
bench: $(READY)
	tests/components
	$(BIN)/python -W ignore -m tests.benchmarks.throughput $(BENCH)

# What a GPU does with a model, next to the CPU: at most ten minutes. Here without one: make bench-gpu GPU_BENCH="--provider cpu"
bench-gpu: $(READY)
	$(BIN)/python -W ignore -m tests.benchmarks.gpu $(GPU_BENCH)

ANOMALIB := .venv-anomalib/bin/python

# The monitor and other tools, side by side on the same frames and cores: half an hour, six gigabytes for anomalib.
bench-peers: $(READY)
	test -x $(ANOMALIB) || tests/benchmarks/quality/anomalib.sh $(PYTHON)
	$(BIN)/python -W ignore -m tests.benchmarks.peers $$(test -x $(ANOMALIB) && echo --anomalib $(ANOMALIB)) $(PEERS)

# Kafka's two clients for Python, alone: ten minutes.
bench-clients: $(READY)
	tests/components
	$(BIN)/python tools/locked.py bench --into .venv
	$(BIN)/python -W ignore -m tests.benchmarks.clients

# Every method on every set, for hours; what is done is kept in bench-quality/ and not done again. Less of it:
# make bench-quality BENCH="--table curve --seeds 1 --budget 3m sample"
bench-quality: $(READY)
	test -x $(ANOMALIB) || tests/benchmarks/quality/anomalib.sh $(PYTHON)
	$(BIN)/python -m tests.benchmarks.quality $$(test -x $(ANOMALIB) && echo --anomalib $(ANOMALIB)) $(BENCH)

# The quick yardstick: cross-validation over whole groups. Less of it: BENCH="--only 1 --budget 1m ../shared/data/casting"
bench-folds: $(READY)
	$(BIN)/python -m tests.benchmarks.quality.cross_validation $(BENCH)

# What each choice in the score is worth, with the same folds; some hours. Less of it: BENCH="--fold 0 --steps 50 sample"
bench-choices: $(READY)
	$(BIN)/python -m tests.benchmarks.quality.choices $(BENCH)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy deploy tools hatch_build.py
	$(BIN)/lint-imports
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# The documentation as a site in build/site, and its reference pages from the code.
docs: $(READY)
	$(BIN)/python -m docs.generate
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "Open build/site/index.html; with its search: python3 -m http.server --directory build/site"

# Versions and hashes of every package, for every extra, system and version of Python, in constraints.txt. Those that are
# there stay; newer ones: make lock UPGRADE=--upgrade, or UPGRADE="--upgrade-package numpy".
lock: $(READY)
	$(BIN)/uv pip compile --universal --python-version=3.11 --generate-hashes --all-extras \
	    --output-file=constraints.txt --quiet $(UPGRADE) pyproject.toml

# Known vulnerabilities of the locked packages; fails as well where they cannot be looked up, and says which it is.
audit: $(READY)
	$(BIN)/python tools/audit.py

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv demo dist build *.egg-info

$(READY): pyproject.toml constraints.txt torch-cpu.txt tools/set_up.py tools/locked.py
	$(PYTHON) tools/set_up.py --gpu $(GPU)
	touch $(READY)
