.PHONY: run test lint style types format docs screenshots oldest lock sbom audit image

run:
	.venv/bin/streamlit run app.py

test:
	.venv/bin/python -m pytest

lint: style types

style:
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types:
	.venv/bin/mypy

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs:
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

# Every page and part, light and dark, in three sizes, under build/screenshots: to be looked at.
screenshots:
	.venv/bin/python -m pytest -m long -n 0 -q tests/browser/test_shell.py -k screenshots

oldest:
	scripts/oldest.sh

lock:
	.venv/bin/python scripts/lock.py

# Tools for what stands in an image and what is known against it, in an environment of their own.
build/supply: pyproject.toml
	python3 -m venv build/supply
	build/supply/bin/pip install --quiet --disable-pip-version-check $$(build/supply/bin/python -c \
	  "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['supply'])")
	touch build/supply

sbom: build/supply
	build/supply/bin/cyclonedx-py requirements --output-reproducible --of JSON -o build/sbom.cdx.json requirements.lock

# Fails where pypi.org cannot be asked about a package: nothing is known then, and the reviewed lock file is what there is.
audit: build/supply
	build/supply/bin/pip-audit --strict --disable-pip --no-deps -r requirements.lock

image:
	docker build -t vitviz .
