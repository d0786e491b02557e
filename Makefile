# make prints its targets; CI calls the same commands.
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
DEADCODE    = golang.org/x/tools/cmd/deadcode@v0.52.0
BENCHSTAT   = golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
FUZZTIME   ?= 10s
TARGETS    ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

help: ## print the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

dev: ## run the demo from source
	go run . up

# Sync.UnmarshalText is called by the parser of the command line, by reflection.
check: ## format, vet, staticcheck, code that nothing reaches
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt would change:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	@dead=$$(go run $(DEADCODE) -test ./... | grep -v 'Sync.UnmarshalText$$'); [ -z "$$dead" ] || { echo "nothing reaches:"; echo "$$dead"; exit 1; }

test: ## all tests
	go test ./...

race: ## all tests under the race detector
	go test -race ./...

# Not metrics/prometheus: an instrumented build of all that Prometheus imports takes many minutes.
# The seeds of its two fuzz tests run with all tests.
fuzz: ## every fuzz target for FUZZTIME
	@go list -f '{{if .TestGoFiles}}{{.ImportPath}}{{end}} {{if .XTestGoFiles}}{{.ImportPath}}{{end}}' ./... | xargs -n1 | sort -u | grep -v /metrics/prometheus | while read pkg; do \
	  go test -list '^Fuzz' $$pkg | grep '^Fuzz' | while read name; do \
	    echo "$$pkg $$name"; go test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg || exit 1; \
	  done || exit 1; done

bench: ## all benchmarks, six times, for benchstat
	go test -run '^$$' -bench . -benchmem -count 6 ./... | tee bench.txt
	go run $(BENCHSTAT) bench.txt

page: ## build and test the page (needs Node.js)
	cd page && npm ci --no-audit --no-fund && npm run check && npm test && npm run build

node: ## try the OpenTelemetry SDK for Node.js at its defaults, and npm test under `etude test` (needs Node.js)
	cd testdata/node-sdk && npm ci --no-audit --no-fund
	cd examples/node && npm ci --no-audit --no-fund
	ETUDE_NODE=1 go test -count 1 -run 'NodeSDK|TestNode' ./program

# Tests that take minutes or gigabytes skip themselves elsewhere; two have more rounds
# here. Packages run one after the other: they measure memory.
hostile: ## what an attacker and a machine with little memory do to it
	@git grep -lE 'testkit\.Hostile|ETUDE_HOSTILE' -- '*_test.go' | xargs -n1 dirname | sort -u | while read pkg; do \
	  ETUDE_HOSTILE=1 go test -count 1 -timeout 40m -run '^Test(Hostile|KilledWithLittleMemory|BrowserLargeTrace)' ./$$pkg || exit 1; done

measure: ## time to ready and idle memory, as README has them
	.ci/measure

golden: ## write golden files anew
	go test ./... -update

cross: ## build for every supported system
	@for target in $(TARGETS); do \
	  echo $$target; CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} go build -o /dev/null . || exit 1; done

demo: ## start the real stack in containers
	docker compose up --build --abort-on-container-exit

.PHONY: help dev check test race fuzz bench page node hostile measure golden cross demo
