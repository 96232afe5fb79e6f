# `make help` lists the targets.

# For which machine `build` compiles; template.yaml asks for the same.
ARCH = arm64
# The stack that `deploy` and `invoke` work on.
STACK = cloudfront-sg-sync

# Development tools have their own module file, so that none of their dependencies is one of the function's.
TOOL = go tool -modfile=go.tool.mod

# The release that the programs say they are, such as v1.0.0; empty for none.
VERSION =
# The project's address, for those who find a release elsewhere; empty where it has none.
REPOSITORY =

# Reproducible: one source and one Go release give the same bytes, whatever the folder, the clone or the machine.
# lambda.norpc leaves out the RPC mode of the retired go1.x runtime, nethttpomithttp2 the HTTP/2 of net/http: 0.4 MB
# that nothing here needs, as every endpoint answers HTTP/1.1 as well. Functions start at every 16 bytes, as they do for
# arm64 anyway, and not at every 32: 0.2 MB less for amd64.
LINK = -s -w -buildid= -funcalign=16 -X cloudfront-sg-sync/internal/version.release=$(VERSION)
FLAGS = -trimpath -buildvcs=false -tags=lambda.norpc,nethttpomithttp2
BUILD = CGO_ENABLED=0 go build $(FLAGS) -ldflags '$(LINK)'

# Where `build` leaves the function, and `cfsg` the command.
BOOTSTRAP = build/bootstrap
CFSG = build/cfsg
# The tools of a release have one as well, so that nobody compiles them for the tests or the linters.
GORELEASER = go tool -modfile=go.release.mod goreleaser
LICENSES = go tool -modfile=go.release.mod go-licenses report ./lambda ./cmd/cfsg

# The program that `bill` writes a bill of materials of, and where.
PROGRAM = $(BOOTSTRAP)
BILL = build/sbom.json

# The packages that start goroutines or lock. Tests that watch the order of thousands of calls, one run after the other,
# have nothing to race with, and the detector takes several times the CPU.
CONCURRENT = $(shell grep -lrE --include='*.go' --exclude='*_test.go' '^	"sync(/atomic)?"|errgroup"|^	+go [a-z]' cmd internal iprange lambda secgroup | \
	xargs -n1 dirname | sort -u | sed 's|^|./|')
ORDERS = ^Test(History|Simulation)$$

# More flags of go test, such as -short.
FLAGS_TEST =

# How many random cases `soak` tries of each property.
CASES = 200000

# How many seeds of the simulation `soak` runs.
SEEDS = 10000

# How long `fuzz` tries each target.
FUZZTIME = 30s

# The event of a manual resync.
EVENT = {"dryRun":$(if $(DRY_RUN),true,false),"force":$(if $(FORCE),true,false)}

# GoReleaser asks git for the remote, also where it publishes nothing and a clone has none.
NO_REMOTE = $(if $(shell git remote),,GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=remote.origin.url GIT_CONFIG_VALUE_0=https://localhost/x/x)
comma = ,
space = $() $()

.DEFAULT_GOAL := help
.PHONY: help demo test race soak fuzz lint vulnerabilities fmt bench build cfsg sbom bill release release-files dependencies picture terminal reproduce build-SyncFunction deploy invoke rehearse clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-15s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Watch the function work, without AWS and without a network (IP_RANGES=FILE|URL: on a real file)
	@[ -x '$(CFSG)' ] || echo 'compiling $(CFSG), which takes some minutes the first time'
	@$(MAKE) -s cfsg
	@'$(CFSG)' demo $(if $(IP_RANGES),--ip-ranges '$(IP_RANGES)')

test: ## Run all tests
	go test -timeout 30m $(FLAGS_TEST) ./...

# It needs cgo and a C compiler that works; compiling the one package that proves it is cheap.
race: ## Run the tests of concurrent packages with the race detector
	@go build -race runtime/cgo || { echo 'the race detector needs a C compiler: install gcc'; exit 1; }
	go test -race -timeout 60m -skip '$(ORDERS)' $(CONCURRENT)

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
	go test -count 1 -timeout 240m ./internal/planner -run 'Tiny|Twin|Spans|Calls|Make' -rapid.checks=$(CASES)
	go test -count 1 -timeout 240m ./secgroup -run 'Plan|Shortage' -rapid.checks=$(CASES)
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

sbom: build bill ## Write build/sbom.json, what the function is linked from (CycloneDX)

# A bill says neither when it was made nor where.
bill:
	@mkdir -p build
	@GOFLAGS='$(GOFLAGS) -trimpath' $(TOOL) cyclonedx-gomod bin -json -std -noserial -notimestamp \
		$(if $(VERSION),-version '$(VERSION)') -output '$(BILL)' '$(PROGRAM)' 2>'$(BILL).log' || { cat '$(BILL).log'; exit 1; }
	@rm '$(BILL).log'
	@go run ./internal/release bill '$(BILL)'

release: ## Make dist/, what people install (VERSION=v1.0.0)
	@echo '$(VERSION)' | grep -Eq '^v[0-9]+[.][0-9]+[.][0-9]+' || { echo 'name the version: make release VERSION=v1.0.0'; exit 1; }
	@echo 'goreleaser release (the first run compiles GoReleaser, some minutes)'
	@$(NO_REMOTE) GORELEASER_CURRENT_TAG='$(VERSION)' REPOSITORY='$(REPOSITORY)' \
		BUILD_FLAGS='$(FLAGS)' LINK_FLAGS='$(LINK)' $(GORELEASER) release --clean \
		--release-notes build/release/notes.md --skip '$(subst $(space),$(comma),$(strip \
		$(if $(PUBLISH),,publish announce validate) $(if $(REPOSITORY),,homebrew scoop winget) $(if $(LINUX_ONLY),homebrew scoop winget)))'
	@cp build/release/files/* dist/
	@cd dist && sha256sum --quiet -c SHA256SUMS && cut -c67- SHA256SUMS

# What GoReleaser packs besides programs: the template, notes, licences, completions and the manual page.
release-files:
	@rm -rf build/release && mkdir -p build/release/completion
	@$(BUILD) -o build/release/cfsg ./cmd/cfsg
	@go run ./internal/release files '$(VERSION)' build/release
	@cp LICENSE README.md CHANGELOG.md docs/member-role.yaml docs/starter-groups.yaml docs/forward-changes.yaml docs/deployer-policy.json \
		build/release/files
	@for shell in bash fish zsh; do \
		build/release/cfsg completion $$shell | sed 's|$(CURDIR)/build/release/cfsg|cfsg|' > build/release/completion/cfsg.$$shell || exit 1; \
	done
	@{ echo '#compdef cfsg'; cat build/release/completion/cfsg.zsh; echo '_bash_complete -o default -o bashdefault -C cfsg'; } \
		> build/release/completion/_cfsg && rm build/release/completion/cfsg.zsh
	@gzip -9nk build/release/cfsg.1
	@$(LICENSES) --template internal/release/third-party.tmpl > build/release/THIRD-PARTY-LICENSES.txt 2>build/release/licenses.log || \
		{ cat build/release/licenses.log; exit 1; }

dependencies: ## Write the table of docs/dependencies.md again
	@mkdir -p build && $(LICENSES) --template internal/release/dependencies.tmpl > build/dependencies.md 2>build/licenses.log || \
		{ cat build/licenses.log; exit 1; }
	@mv build/dependencies.md docs/dependencies.md

picture: ## Draw docs/rules-*.svg from published documents, and print README's numbers (HISTORY="FILE …")
	@test -n '$(HISTORY)' || { echo "name the published documents: make picture HISTORY='FILE …'"; exit 1; }
	@mkdir -p build && gzip -cdf $(HISTORY) > build/history.jsonl && go run ./internal/picture < build/history.jsonl

terminal: ## Draw docs/terminal-*.svg again, the terminal that cfsg shows (on Linux)
	go test ./cmd/cfsg -run TestTerminalPicture -count 1 -update

# Linux is enough: each platform is built by the same command. Files of GoReleaser's own say when they were made.
reproduce: ## Make a release in two other folders and compare: one source, the same bytes
	@rm -rf build/reproduce
	@for folder in one another/folder; do \
		mkdir -p build/reproduce/$$folder && \
		git ls-files -z | xargs -0 cp --parents -t build/reproduce/$$folder && \
		git -C build/reproduce/$$folder init --quiet && \
		git -C build/reproduce/$$folder -c user.name=x -c user.email=x@localhost commit --quiet --allow-empty -m x && \
		$(MAKE) -s -C build/reproduce/$$folder release VERSION=v0.0.0 LINUX_ONLY=1 || exit 1; \
	done
	@cd build/reproduce && cat one/dist/SHA256SUMS && diff one/dist/SHA256SUMS another/folder/dist/SHA256SUMS
	@RELEASED_DIST='$(CURDIR)/build/reproduce/one/dist' go test -count 1 ./lambda -run ReleasedFunction
	@if command -v dpkg >/dev/null; then cd build/reproduce && mkdir -p root/var/lib/dpkg/info root/var/lib/dpkg/updates && \
		touch root/var/lib/dpkg/status && dpkg --root=root --force-not-root --log=/dev/null \
		-i one/dist/cfsg_v0.0.0_linux_$$(go env GOHOSTARCH | sed s/amd64/x86_64/).deb && root/usr/bin/cfsg version && \
		{ root/usr/bin/cfsg doctor http://127.0.0.1:1 2>&1 | grep -F connect-refused; }; else echo 'the .deb is not tried: dpkg is not here'; fi
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

rehearse: cfsg ## Rehearse the stack in your AWS account, and answer what has not yet been seen on AWS (asks first)
	@YES='$(YES)' OLD='$(OLD)' CLEAN='$(CLEAN)' CFSG='$(CFSG)' deploy/rehearse.sh

clean: ## Remove what was built
	rm -rf build dist .aws-sam
