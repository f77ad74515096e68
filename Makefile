.PHONY: run test lint style types format docs oldest

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
