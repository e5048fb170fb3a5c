# make demo and make test are all that a newcomer needs; both create .venv and install into it.
PYTHON ?= python3
VENV   ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PY := $(BIN)/python
OUT ?= demo-output

SEGMENT := -e . -e plugins/laptop -e plugins/medical -e plugins/geo -e plugins/selfprompt -e datasets
EVERYTHING := -e ".[dev]" -e "plugins/laptop[openvino]" -e plugins/medical -e plugins/geo \
	-e plugins/selfprompt -e "datasets[fetch]" -e "plugins/train[data]" -e "plugins/encoders[torch]"
PROJECTS := pyproject.toml $(wildcard plugins/*/pyproject.toml) datasets/pyproject.toml constraints/cpu.txt

.PHONY: demo install test test-all lint bench bench-family card following parity docs clean

demo: $(VENV)/.segment
	$(PY) -m samovar_datasets demo -o $(OUT)
	$(BIN)/samovar segment $(OUT)/ct.nii.gz --prompts $(OUT)/ct_boxes.json \
		-o $(OUT)/ct_objects.nii.gz --preview $(OUT)/ct.png --manifest $(OUT)/ct.json
	$(BIN)/samovar segment $(OUT)/scene.tif --prompts $(OUT)/scene_boxes.geojson \
		-o $(OUT)/scene_objects.gpkg -o $(OUT)/scene_objects.geojson \
		--preview $(OUT)/scene.png --manifest $(OUT)/scene.json --overwrite
	@echo "Pictures: $(OUT)/ct.png and $(OUT)/scene.png"

install: $(VENV)/.everything

test: $(VENV)/.everything
	$(PY) -m pytest

test-all: $(VENV)/.everything
	$(PY) -m pytest -m "not weights"

lint: $(VENV)/.everything
	$(PY) -m ruff check .
	$(PY) -m mypy

bench: $(VENV)/.everything
	$(PY) -m samovar.benchmark
	$(PY) -m samovar_geo.benchmark

# hours where every architecture has to be exported first; MODELS="mobile-sam tiny" is quicker
bench-family: $(VENV)/.everything
	$(BIN)/samovar bench family $(MODELS) --quick --runtime onnxruntime --runtime openvino \
		-o docs/benchmarks/family

card: $(VENV)/.everything
	$(PY) -m samovar.evaluation.card

# needs the shared sample data; minutes
following: $(VENV)/.everything
	$(PY) -m samovar.evaluation.following --guide docs/how-to/volumes.md

parity: $(VENV)/.everything
	$(PY) -m pytest plugins/encoders -m "not weights" -k "parity or bundles"

docs: $(VENV)/.everything
	$(PY) -m samovar_datasets pictures -o docs/pictures
	$(PY) -m samovar_encoders.table docs/benchmarks/family/family.json \
		docs/benchmarks/runtimes.json > docs/models.md
	$(PY) -m samovar.evaluation.card --page

clean:
	rm -rf $(OUT) build .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.segment: $(PROJECTS)
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
		{ echo "samovar needs Python 3.11 or later: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || \
		{ echo "python3 -m venv failed: on Debian and Ubuntu, apt install python3-venv"; exit 2; }
	$(PY) -m pip install --quiet --disable-pip-version-check $(SEGMENT)
	@touch $@

$(VENV)/.everything: $(VENV)/.segment $(PROJECTS)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints/cpu.txt $(EVERYTHING)
	@touch $@
