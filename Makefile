# `make test` and `make demo` need nothing but Python and a network or a local package index.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The constraints fix one tested set of versions, and with torch a build that pip need not choose.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

DEMO_MODEL := models/zoo/resnet8_fashion_mnist_int8.onnx
DEMO_OUT := demo/resnet8_fashion_mnist.nf.onnx
# The images lie beside the model under its name, and the protected file records them: neither command names them.
DEMO_PROTECT := -o $(DEMO_OUT) --minutes 2 --max-loss 1%
DEMO_EVALUATE := --ber 0.01 --ber 0.005

.PHONY: test demo lint docs dev clean
.DELETE_ON_ERROR:

test: $(VENV)/installed
	# One thread a worker: the threads of two test processes would wait actively for each other.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 -q

demo: $(VENV)/installed
	rm -rf demo
	mkdir demo
	$(BIN)/nfkit protect $(DEMO_MODEL) $(DEMO_PROTECT)
	$(BIN)/nfkit evaluate $(DEMO_OUT) $(DEMO_EVALUATE)

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: $(VENV)/documented
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

dev: $(VENV)/developed

clean:
	rm -rf $(VENV) build dist demo site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The stamps stand for what pip did, which make cannot see.
$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[train,images,parquet,plot,remote,grpc,report,joblib,dask,ray]' pytest hypothesis pytest-xdist
	touch $@

$(VENV)/developed: $(VENV)/installed
	$(PIP) build mypy ruff scipy-stubs playwright axe-playwright-python nbclient nbformat ipykernel
	touch $@

$(VENV)/documented: $(VENV)/installed
	$(PIP) -e '.[docs]'
	touch $@

# For scripts: `make -s print-DEMO_MODEL`.
print-%:
	@echo '$($*)'
