# Every target works on a fresh machine with Python 3.11 or newer: it makes .venv first.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint bench

setup: .venv/installed

# Apart from all else: a torchvision without compiled operators for the torch at hand, as there is
# none for CPUs from some indexes, would break transformers. Only the tests of open_clip look there.
.venv/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[extract,ray,test]"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps \
		--target .venv/open-clip --upgrade open_clip_torch torchvision timm ftfy wcwidth
	touch $@

demo: setup
	$(BIN)/python cli.py demo

test: setup
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: setup
	$(BIN)/python cli.py bench train
