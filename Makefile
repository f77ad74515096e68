.PHONY: run test lint style types format docs oldest lock sbom audit image

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

oldest:
	scripts/oldest.sh

lock:
	.venv/bin/python scripts/lock.py

sbom:
	mkdir -p build
	.venv/bin/cyclonedx-py requirements --output-reproducible --of JSON -o build/sbom.cdx.json requirements.lock

audit:
	.venv/bin/pip-audit --disable-pip --no-deps -r requirements.lock

image:
	docker build -t vitviz .
