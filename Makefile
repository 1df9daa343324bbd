# Every command a developer needs. Works with GNU Make 3.81; `make help` is made from the comments behind the targets.

PORT =
READY = .venv/.from-lock
BIN = .venv/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test browser nginx soak bench bench-full profile lint format types imports migrations wheel serving-environment sbom audit check clean reset

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' Makefile

$(READY): uv.lock pyproject.toml scripts/environment.sh
	@sh scripts/environment.sh
	@touch $@

run: $(READY) ## a server with demo models, a demo tenant and a key, on PORT (8000)
	@exec $(BIN)/gatehouse dev $(if $(PORT),--port $(PORT))

test: $(READY) ## the whole suite, PostgreSQL and Valkey from wheels included
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

browser: $(READY) ## /docs, the pages of errors, a guide and a welcome page in a real headless Chromium, which must be installed
	@$(BIN)/pytest -m browser tests/browser

nginx: $(READY) ## deploy/nginx*.conf in nginx itself, which must be installed
	@$(BIN)/pytest -m nginx tests/deploy

soak: $(READY) ## the full-length tests, at most 60 minutes
	@$(BIN)/pytest -m soak

bench: $(READY) ## speed, measured by each script of scripts/bench, the usual stack beside it
	@missed=; for script in scripts/bench/*.py; do echo "== $$script"; $(BIN)/python "$$script" || missed="$$missed $$script"; done; \
	if [ -n "$$missed" ]; then echo "A target was missed or the script failed:$$missed"; exit 1; fi

bench-full: $(READY) ## all of the comparison with the usual stack, MLServer included: about an hour
	@mkdir -p .bench
	@$(BIN)/python scripts/bench/usual_stack.py --full --json .bench/usual_stack.json --chart .bench/usual_stack.svg || missed=1; \
	$(BIN)/python scripts/bench/stages.py --seconds 5 && [ -z "$$missed" ]

profile: $(READY) ## a flame graph of a loaded server, as .bench/profile.svg
	@PYTHONPATH=scripts/bench $(BIN)/python -m comparison.flame

lint: $(READY) ## style and likely mistakes
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY) ## write the sources in the one style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(READY) ## mypy, strict
	@$(BIN)/mypy

imports: $(READY) ## which room may import which
	@$(BIN)/lint-imports --no-logo --no-cache

migrations: $(READY) ## the migrations make exactly the tables of the code
	@$(BIN)/python scripts/check_migrations.py

wheel: $(READY) ## the wheel holds the package and its migrations, nothing else
	@$(BIN)/python scripts/check_wheel.py

serving-environment: $(READY) ## the server starts from the lock file alone, without the tools of development
	@$(BIN)/python scripts/check_serving_environment.py

sbom: $(READY) ## what the serving environment is made of, as dist/sbom.json (CycloneDX)
	@mkdir -p dist
	@$(BIN)/uv export --quiet --frozen --offline --no-dev --format cyclonedx1.5 --output-file dist/sbom.json >/dev/null

audit: $(READY) ## known vulnerabilities of all that is depended on; asks osv.dev
	@$(BIN)/python scripts/audit_dependencies.py

check: lint types imports migrations wheel serving-environment ## all of the above that find mistakes without running the suite

clean: ## remove the environment and all caches; never touches .gatehouse
	@rm -rf .venv .bench dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .schemathesis
	@find platform models alembic scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +

reset: ## remove .gatehouse: database, keys, models and settings of this deployment (asks first)
	@if [ ! -d .gatehouse ]; then echo "There is no .gatehouse here."; exit 0; fi; \
	printf 'Remove .gatehouse with its database, keys, models and settings? Type yes: '; read -r answer || answer=no; \
	if [ "$$answer" = yes ]; then rm -rf .gatehouse && echo "Removed. 'make run' makes a new one."; else echo "Nothing removed."; fi
