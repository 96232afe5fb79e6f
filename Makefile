# What there is to do here: `make help`.

# For which machine `build` compiles; template.yaml asks for the same.
ARCH = arm64
# The stack that `deploy` and `invoke` work on.
STACK = cloudfront-sg-sync

# Development tools have their own module file, so that none of their dependencies is one of the function's.
TOOL = go tool -modfile=go.tool.mod

# What is built says that it is this release, such as v1.0.0; without one, that it is none.
VERSION =
# The project's address, for those who find a release elsewhere; empty where it has none.
REPOSITORY =

# Reproducible: one source and one Go release give the same bytes, whatever the folder, the clone or the machine.
# lambda.norpc leaves out the RPC mode of the retired go1.x runtime, nethttpomithttp2 the HTTP/2 of net/http: 0.4 MB
# that nothing here needs, as every endpoint answers HTTP/1.1 as well. Functions start at every 16 bytes, as they do for
# arm64 anyway, and not at every 32: 0.2 MB less for amd64.
BUILD = CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags lambda.norpc,nethttpomithttp2 \
	-ldflags '-s -w -buildid= -funcalign=16 -X cloudfront-sg-sync/internal/version.release=$(VERSION)'

# Where `build` leaves the function, and `cfsg` the command.
BOOTSTRAP = build/bootstrap
CFSG = build/cfsg
# What cfsg is released for.
PLATFORMS = linux-amd64 linux-arm64 darwin-amd64 darwin-arm64 windows-amd64 windows-arm64
# Where `release` leaves what people install.
DIST = dist

# A CycloneDX bill of what a program is linked from. It says neither when it was made nor where.
SBOM = GOFLAGS='$(GOFLAGS) -trimpath' $(TOOL) cyclonedx-gomod bin -json -std -noserial -notimestamp

# The race detector needs cgo and a C compiler that works; compiling the one package that proves it is cheap.
RACE = $(shell go build -race runtime/cgo >/dev/null 2>&1 && echo -race)

# How many random cases `soak` tries of each property.
CASES = 200000

# How many seeds of the simulation `soak` runs.
SEEDS = 10000

# How long `fuzz` tries each target.
FUZZTIME = 30s

# The event of a manual resync.
EVENT = {"dryRun":$(if $(DRY_RUN),true,false),"force":$(if $(FORCE),true,false)}

.DEFAULT_GOAL := help
.PHONY: help demo test soak fuzz lint vulnerabilities fmt bench build cfsg sbom release dependencies picture terminal reproduce build-SyncFunction deploy invoke clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-15s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Watch the function work, without AWS and without a network (IP_RANGES=FILE|URL: on a real file)
	@go run ./cmd/cfsg demo $(if $(IP_RANGES),--ip-ranges '$(IP_RANGES)')

test: ## Run all tests, with the race detector where there is a C compiler
	go test $(RACE) -timeout 30m ./...

lint: ## Check the code: checksums of what it uses, vet, formatting, linters (the first run compiles the linters)
	go mod verify
	go vet ./...
	@unformatted=$$($(TOOL) gofumpt -l .) && \
		if [ -n "$$unformatted" ]; then echo "not formatted, run make fmt:"; echo "$$unformatted"; exit 1; fi
	$(TOOL) golangci-lint run
	$(TOOL) actionlint
	@if command -v cfn-lint >/dev/null; then cfn-lint --non-zero-exit-code warning -- template.yaml docs/*-role.yaml docs/*-groups.yaml; \
		else echo "cfn-lint is not installed, the templates are not looked at: pip install cfn-lint"; fi

vulnerabilities: ## Look for known vulnerabilities in what is linked (asks the Go vulnerability database)
	$(TOOL) govulncheck ./lambda ./cmd/cfsg

fmt: ## Format the code
	$(TOOL) gofumpt -w .

soak: ## Check the promises on 200,000 random cases each (CASES=N), and 10,000 seeds of the simulation (SEEDS=N)
	go test -count 1 -timeout 240m ./internal/planner -run 'Tiny|Twin|Spans|Calls|Schedule|Search|Make' -rapid.checks=$(CASES)
	go test -count 1 -timeout 240m ./secgroup -run 'Plan|Promises|Shortage' -rapid.checks=$(CASES)
	go test -count 1 -timeout 240m ./internal/engine -run Simulation -seeds $(SEEDS)

# go test fuzzes one target of one package at a time.
fuzz: ## Fuzz everything that reads what others wrote, 30 s each (FUZZTIME=5m, or 1000x)
	@grep -rEo --include='*_test.go' '^func Fuzz\w+' . | sort | \
		while IFS=: read -r file func; do \
			go test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) "$$(dirname $$file)" || exit 1; \
		done

bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

build: ## Build build/bootstrap, the function, for linux/arm64 (ARCH=amd64: for the other)
	GOOS=linux GOARCH=$(ARCH) $(BUILD) -o '$(BOOTSTRAP)' ./lambda

cfsg: ## Build build/cfsg, the operator's command, for this machine
	$(BUILD) -o '$(CFSG)' ./cmd/cfsg

sbom: build ## Write build/sbom.json, what the function is linked from (CycloneDX)
	$(SBOM) -output build/sbom.json '$(BOOTSTRAP)' 2>build/sbom.log || { cat build/sbom.log; exit 1; }
	go run ./internal/release bill build/sbom.json

release: ## Make dist/, what people install (VERSION=v1.0.0)
	@echo '$(VERSION)' | grep -Eq '^v[0-9]+[.][0-9]+[.][0-9]+' || { echo 'name the version: make release VERSION=v1.0.0'; exit 1; }
	rm -rf build/release
	@for arch in arm64 amd64; do \
		$(MAKE) build ARCH=$$arch BOOTSTRAP=build/release/function-$$arch/bootstrap || exit 1; \
	done
	$(BUILD) -o build/release/cfsg ./cmd/cfsg
	@for platform in $(PLATFORMS); do \
		echo "cfsg for $$platform" && \
		GOOS=$${platform%-*} GOARCH=$${platform#*-} $(BUILD) -o build/release/cfsg-$$platform/ ./cmd/cfsg || exit 1; \
	done
	$(SBOM) -version '$(VERSION)' -output build/release/cloudfront-sg-sync_$(VERSION)_lambda.cdx.json \
		build/release/function-arm64/bootstrap 2>build/sbom.log || { cat build/sbom.log; exit 1; }
	$(SBOM) -version '$(VERSION)' -output build/release/cfsg_$(VERSION).cdx.json \
		build/release/cfsg-$(firstword $(PLATFORMS))/cfsg 2>build/sbom.log || { cat build/sbom.log; exit 1; }
	REPOSITORY='$(REPOSITORY)' go run ./internal/release '$(VERSION)' build/release '$(DIST)'
	@ls -l '$(DIST)'

dependencies: ## Write the table of docs/dependencies.md anew
	@sed -i '/^|/d' docs/dependencies.md
	@go run ./internal/dependencies ./lambda ./cmd/cfsg >> docs/dependencies.md

picture: ## Draw docs/rules.svg anew, from published documents (HISTORY="FILE …", oldest first)
	go run ./internal/picture $(HISTORY) > docs/rules.svg.new || { rm -f docs/rules.svg.new; exit 1; }
	@mv docs/rules.svg.new docs/rules.svg

terminal: ## Draw docs/terminal-*.svg anew, what cfsg shows (on Linux)
	go test ./cmd/cfsg -run TestTerminalPicture -count 1 -update

# One platform of cfsg stands for all: each is linked by the same command.
reproduce: ## Make a release in two other folders and compare: one source, the same bytes
	@rm -rf build/reproduce
	@for folder in one another/folder; do \
		mkdir -p build/reproduce/$$folder && \
		git ls-files -z | xargs -0 cp --parents -t build/reproduce/$$folder && \
		$(MAKE) -s -C build/reproduce/$$folder release VERSION=v0.0.0 PLATFORMS=linux-$$(go env GOHOSTARCH) || exit 1; \
	done
	@cd build/reproduce && cat one/dist/SHA256SUMS && diff -r one/dist another/folder/dist
	@rm -rf build/reproduce

# `sam build` calls this one, because of the function's BuildMethod in template.yaml.
# https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/building-custom-runtimes.html
build-SyncFunction: build
	cp '$(BOOTSTRAP)' '$(ARTIFACTS_DIR)'

# The SAM CLI reads Name=value pairs by patterns of its own and drops in silence what they leave over: of Name=one two it
# takes "one". So it gets the text as it was typed, quotes included, and only if nothing would be left over.
# https://github.com/aws/aws-sam-cli/blob/develop/samcli/cli/types.py
deploy: export OVERRIDES = $(PARAMETERS)
deploy: export PAIRS = ( +[A-Za-z0-9]+=("([^"\\]|\\.)*"|'([^'\\]|\\.)*'|([^ "'\\]|\\.)+))* *
deploy: ## Build and deploy with SAM (STACK=NAME, PARAMETERS='TagKey=… Regions=eu-west-1,us-east-1')
	@printf ' %s\n' "$$OVERRIDES" | grep -Eqx "$$PAIRS" || \
		{ echo "PARAMETERS: quote a value that has spaces or quotes: PARAMETERS='Name=value Other=\"a value\"'" >&2; exit 1; }
	sam build
	sam deploy --stack-name '$(STACK)' $(if $(PARAMETERS),--parameter-overrides "$$OVERRIDES")

invoke: ## Resync now, by the deployed function (STACK=NAME, DRY_RUN=1, FORCE=1)
	@mkdir -p build && echo '$(EVENT)' > build/event.json
	@function=$$(aws cloudformation describe-stacks --stack-name '$(STACK)' --output text \
			--query "Stacks[0].Outputs[?OutputKey=='FunctionName'].OutputValue") && \
		failed=$$(aws lambda invoke --function-name "$$function" --payload fileb://build/event.json \
			--cli-read-timeout 0 --output text --query FunctionError build/answer.json) && \
		cat build/answer.json && echo && [ "$$failed" = None ]

clean: ## Remove what was built
	rm -rf build dist .aws-sam
