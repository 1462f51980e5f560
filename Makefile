# Every target works from a fresh clone: what it needs is set up by `setup`.

PYTHON ?= python3.11
PYTHON312 ?= python3.12
UV_VERSION := 0.13.8
VENV := .venv
RUN := $(VENV)/bin/python

LOGS ?=
FORMAT ?= auto
COLUMNS ?=
OUTPUT ?= demo_output
SET ?=
TESTS ?=
FUZZ_RUNS ?= 1000000
MUTANTS ?=
SBOM ?= dist/sbom.json
CYCLONEDX := cyclonedx-bom==7.5.0
# No wheel of ScaNN loads on the newest TensorFlow; these tests compare with it, and
# that of exit codes runs the data job's commands. The compiler of messages is of the
# pinned protobuf.
NEWEST_LACKS := --ignore tests/s4rec_tf/export/test_index_kinds.py \
	--ignore tests/s4rec_tf/test_exit_codes.py --ignore tests/serving/test_protos.py
PROTOS := serving/config.proto serving/client/wire.proto benchmarks/kserve.proto

# What an outer environment says about Python must not reach ours.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME CONDA_PREFIX UV_PROJECT_ENVIRONMENT
# TensorFlow is imported many times, which takes thrice as long without bytecode.
unexport PYTHONDONTWRITEBYTECODE
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
export UV_HTTP_TIMEOUT ?= 180

# The stamp's name holds the place: a moved folder is set up anew. It is removed before
# and written after an installation, and without it the environment is rebuilt: an
# interrupted setup leaves nothing that is taken for whole.
STAMP := $(VENV)/.installed-$(shell printf '%s' '$(CURDIR)' | cksum | cut -d' ' -f1)
CHECK := sh pipelines/check_requirements.sh

.DEFAULT_GOAL := help
.PHONY: help setup test test-slow test-kills test-engines test-prism test-flink test-flink-large test-spark test-triton test-tfserving test-promtool test-gpu-kit test-release test-tutorial test-browser test-notebooks test-kubeflow test-airflow test-newest gpu-kit fuzz mutants sbom docs lint types protos format demo clean FORCE

help: ## list the targets
	@echo "usage: make TARGET [VARIABLE=value]"
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' Makefile
	@echo "variables: PYTHON=python3.11; for demo: LOGS=path-or-glob FORMAT=auto"
	@echo "COLUMNS=user=..,item=..,time=.. OUTPUT=demo_output SET='key=value ...'; for test: TESTS='paths and options'"

setup: $(STAMP) ## check the machine, create .venv with every stage's packages
	@echo "environment ready: $(VENV)"

$(STAMP): setup.py pyproject.toml constraints.txt Makefile $(if $(wildcard $(RUN)),,FORCE)
	@if [ -e '$(STAMP)' ] && $(RUN) -c '' 2>/dev/null; then $(CHECK) $(RUN); \
		else $(CHECK) '$(PYTHON)' && '$(PYTHON)' -m venv --clear $(VENV); fi
	@rm -f $(VENV)/.installed-*
	@$(RUN) -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(VENV)/bin/uv pip install --python $(RUN) \
		-c constraints.txt -b constraints.txt \
		-e '.[beam,train,serve,dev]'
	@touch '$(STAMP)'

test: setup ## run the tests; prints the ten slowest and the user seconds in all
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(TESTS)

test-slow: setup ## run the tests that take minutes each
	$(RUN) -m pytest -m slow --timeout 3600 $(TESTS)

test-kills: setup ## end trainings at 210 random moments and compare what they become
	$(RUN) -m pytest -m slow --timeout 3600 -s tests/s4rec_tf/train/test_kills.py tests/s4rec_tf/train/test_remote_runs.py $(TESTS)

test-engines: setup ## whole data jobs in Beam's worker processes
	$(RUN) -m pytest -m engines --timeout 3600 $(TESTS)

test-prism: setup ## whole data jobs on Prism, built into .cache (needs go)
	$(RUN) tests/beam_jobs/fetch_prism.py
	$(RUN) -m pytest -m prism --timeout 3600 $(TESTS)

test-flink: setup ## whole data jobs on Apache Flink, fetched into .cache (needs java, mvn)
	$(RUN) tests/beam_jobs/fetch_flink.py
	$(RUN) -m pytest -m flink --timeout 3600 $(TESTS)

test-flink-large: setup ## ten million actions through a Flink of 1 GiB (an hour)
	$(RUN) tests/beam_jobs/fetch_flink.py
	$(RUN) -m pytest -m flink_large --timeout 30000 $(TESTS)

test-spark: setup ## whole data jobs on Apache Spark, fetched into .cache (needs java, mvn)
	$(RUN) tests/beam_jobs/fetch_spark.py
	$(RUN) -m pytest -m spark --timeout 3600 $(TESTS)

test-tfserving: setup ## run the acceptance suite against the binary TF_SERVING_BIN names
	@if [ ! -x "$$TF_SERVING_BIN" ]; then \
		echo "TF_SERVING_BIN must name a tensorflow_model_server. Received: '$$TF_SERVING_BIN'" >&2; \
		exit 2; fi
	$(RUN) -m pytest -m tfserving tests/serving/acceptance $(TESTS)

test-promtool: setup ## alerts and dashboard by Prometheus' promtool, fetched into .cache (apt)
	$(RUN) -m tests.serving.fetch_promtool
	$(RUN) -m pytest -m promtool tests/serving/test_promtool.py $(TESTS)

test-triton: setup ## the export on NVIDIA Triton, in an environment of its own in .cache
	$(RUN) -c 'from benchmarks.triton import triton_python; print(triton_python())'
	$(RUN) -m pytest -m triton $(TESTS)

test-gpu-kit: setup ## the GPU kit on this machine's CPU, Python 3.12 and JAX in .cache
	@test -x .cache/gpu-kit-python/bin/python || \
		'$(PYTHON312)' -m venv .cache/gpu-kit-python || \
		{ echo "PYTHON312 must name a Python 3.12. Received: '$(PYTHON312)'" >&2; exit 2; }
	@$(VENV)/bin/uv pip install --quiet --python .cache/gpu-kit-python/bin/python \
		jax==0.11.2 scipy pyyaml h5py rich absl-py ml-dtypes packaging typing-extensions
	$(RUN) -m pytest -m gpu_kit $(TESTS)

test-release: setup ## wheel and sdist outside the repository, from a log to an answer
	$(RUN) -m pytest -m release --timeout 3600 tests/release $(TESTS)

test-tutorial: setup ## every command of the tutorial, in an empty folder
	$(RUN) -m pytest -m tutorial --timeout 3600 tests/test_tutorial.py $(TESTS)

test-browser: setup ## the reports in a real Chromium (apt install chromium)
	$(RUN) -m pytest -m browser tests/browser $(TESTS)

test-notebooks: setup ## docs/notebooks from top to bottom, Jupyter's kernel in .cache
	@test -x .cache/notebooks-python/bin/python || \
		$(RUN) -m venv .cache/notebooks-python
	@$(VENV)/bin/uv pip install --quiet --python .cache/notebooks-python/bin/python \
		-c constraints.txt -b constraints.txt -e '.[beam,train,serve,notebooks]'
	$(RUN) -m pytest -m notebooks --timeout 3600 tests/notebooks $(TESTS)

test-kubeflow test-airflow: test-%: setup
	@test -x .cache/$*-python/bin/python || $(RUN) -m venv .cache/$*-python
	@$(VENV)/bin/uv pip install --quiet --python .cache/$*-python/bin/python \
		-r pipelines/orchestration/$*_requirements.txt
	$(RUN) -m pytest -m $* --timeout 3600 tests/pipelines/orchestration $(TESTS)
test-kubeflow: ## a day as a Kubeflow pipeline, on its local runner, kfp in .cache
test-airflow: ## a day as an Airflow DAG, on SQLite, Airflow in .cache

test-newest: setup ## training and serving on the newest TensorFlow, Python 3.12, NumPy 2
	@test -x .cache/newest-python/bin/python || \
		'$(PYTHON312)' -m venv .cache/newest-python || \
		{ echo "PYTHON312 must name a Python 3.12. Received: '$(PYTHON312)'" >&2; exit 2; }
	@$(VENV)/bin/uv pip install --quiet --python .cache/newest-python/bin/python \
		-c constraints-newest.txt -e '.[train,serve,test]'
	.cache/newest-python/bin/python -m pytest -m 'not slow and not tfserving and not triton and not promtool' \
		tests/s4rec_tf tests/serving $(NEWEST_LACKS) $(TESTS)

mutants: setup ## share of small changes of the code that tests notice (MUTANTS='--share 0.1 losses')
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) -c constraints.txt -e '.[mutants]'
	$(RUN) -m tests.mutants $(MUTANTS)

sbom: setup ## write SBOM: packages and licences that an installation of all stages has
	@mkdir -p .cache "$$(dirname '$(SBOM)')"
	@$(VENV)/bin/uv venv --quiet --clear --python $(RUN) .cache/sbom-python
	@$(VENV)/bin/uv pip install --quiet --python .cache/sbom-python/bin/python \
		-c constraints.txt -e '.[beam,train,serve]'
	@$(VENV)/bin/uv tool run --quiet --from $(CYCLONEDX) cyclonedx-py environment \
		--output-reproducible --of JSON -o '$(SBOM)' \
		.cache/sbom-python/bin/python
	@echo "$(SBOM)"

gpu-kit: setup ## write gpu_kit/: data sets and wheels for a GPU machine (LOGS=.. makes missing data)
	$(RUN) -m pipelines.gpu_kit $(if $(LOGS),--prepare '$(LOGS)')

fuzz: setup ## FUZZ_RUNS inputs (a million) through the server's decoding of requests
	@test -x .venv-fuzz/bin/python || $(RUN) -m venv .venv-fuzz
	@$(VENV)/bin/uv pip install --quiet --python .venv-fuzz/bin/python \
		-c constraints.txt -e '.[serve,fuzz]'
	@mkdir -p .cache/fuzz
	.venv-fuzz/bin/python tests/fuzz/decode_requests.py .cache/fuzz \
		-runs=$(FUZZ_RUNS) -max_len=2048 -artifact_prefix=.cache/fuzz-

docs: setup ## the pages as a site, in .cache/site; a broken link or anchor fails
	@$(VENV)/bin/uv pip install --quiet --python $(RUN) -c constraints.txt -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict
	@echo "open .cache/site/index.html"

lint: setup ## ruff: rules and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: setup ## mypy
	$(RUN) -m mypy

protos: setup ## compile the messages of .proto files
	$(RUN) -m grpc_tools.protoc -I. --python_out=. --pyi_out=. $(PROTOS)

format: setup ## rewrite the code as `lint` wants it
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

demo: setup ## raw logs to recommendations over gRPC, on synthetic logs or LOGS=...
	$(RUN) -m pipelines.demo --output '$(OUTPUT)' --format '$(FORMAT)' \
		$(if $(LOGS),--logs '$(LOGS)') $(if $(COLUMNS),--columns '$(COLUMNS)') \
		$(if $(SET),--set $(SET))

clean: ## remove .venv, caches and build leftovers; data, runs and exports stay
	rm -rf $(VENV) .venv-fuzz build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
