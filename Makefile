# Everything a developer or packager types. `make help` lists it.
PREFIX ?= /usr/local
ARCH ?= x86_64
# What `make run` serves on, and types first.
ADDRESS ?= 127.0.0.1:4000
TEXT ?= hello from the other side

RELEASE = .build/release/usbredir-evloop
# Debian's names are understood too. ARM builds, cross-compiled, lie beside this machine's own.
override ARCH := $(patsubst amd64,x86_64,$(patsubst armhf,armv7,$(ARCH)))
CROSS = $(filter-out x86_64,$(ARCH))
# All of the product, or PARTS=server: without probe and virtual devices, a folder of stand-ins instead.
PARTS ?=
$(if $(filter-out server,$(PARTS)),$(error PARTS=server is the only choice of parts))
SMALL = build/small$(PARTS:%=-%)$(CROSS:%=-%)/usbredir-evloop
DEB = build/usbredir-evloop$(PARTS:%=-%)_$(patsubst x86_64,amd64,$(patsubst armv7,armhf,$(ARCH))).deb
SOURCES = $(wildcard Sources/usbredir-evloop/*.swift Sources/usbredir-evloop/*/*.swift)
LEFT_OUT = $(wildcard $(addprefix Sources/usbredir-evloop/,Guest/* Virtual/* */Probe*.swift */Virtual*.swift))
SMALL_SOURCES = $(if $(PARTS),$(filter-out $(LEFT_OUT),$(SOURCES)) Sources/server-only/LeftOut.swift,$(SOURCES))
SMALL_BUILD = tools/small $(wildcard Sources/C*/* Sources/C*/include/*)
NATIVE = build/small/usbredir-evloop
# What the checks of the small build are compiled from.
CHECKED = $(wildcard Sources/usbredir-evloop/Buffers/*.swift Sources/usbredir-evloop/Protocol/*.swift \
  Sources/usbredir-evloop/Device/*.swift Tests/EmbeddedTests/*Check*.swift Tests/EmbeddedTests/Fake*.swift) \
  Tests/EmbeddedTests/Runner/main.swift
# The ARM builds that e2e boots machines for; armv7 takes another minute and a half.
MACHINES ?= arm64
# make test with a sanitizer, address or thread: a build of its own, and its tests one by one.
SANITIZE ?=
$(if $(filter-out address thread,$(SANITIZE)),$(error SANITIZE is address or thread))
SANITIZED = $(if $(SANITIZE),--sanitize=$(SANITIZE) --scratch-path .build-$(SANITIZE))
# Suites that start programs (TidyTests holds them to the name): until its exec(2) a program has a copy of every
# descriptor, and what tests beside it close stays open. They run by themselves, one by one.
STARTING = ProgramTests/
# What make fuzz runs: which targets (all), how long each.
TARGETS ?=
SECONDS ?= 60
# Fuzz targets, and scenarios, at a time.
JOBS ?= 2
SYSROOT ?= $(CROSS:%=build/sysroot-%)
SWIFT_RELEASE = swift build -c release --static-swift-stdlib
# The first seed of make simulate, and how many.
SEED ?= 1
RUNS ?= 10000
# How long, and how much, make soak is.
MINUTES ?= 30
DEVICES ?= 32
SWIFT_FILES = Package.swift Sources Tests fuzz bench/load/Package.swift bench/load/Sources bench/load/Tests
# A crashed test's backtracer would outlive the job.
export SWIFT_BACKTRACE = enable=no
# XCTest's own leaks are none of ours. Memory that is not to be had is what some tests want.
export ASAN_OPTIONS ?= detect_leaks=0:allocator_may_return_null=1
export TSAN_OPTIONS ?= allocator_may_return_null=1

.PHONY: help build run test sanitizers test-address test-thread fuzz simulate memcheck bench-tools robustness soak bench-peers bench bench-quick small small-test deb e2e build/bench/usb-guests bench-test format lint install clean

help:
	@echo "make run      build, and serve a virtual keyboard on $(ADDRESS)"
	@echo "make test     unit tests, interop tests, tests on a mocked usbfs, what a report costs on a simulated one"
	@echo "              SANITIZE=address or SANITIZE=thread: the first three under that sanitizer; make sanitizers: under both"
	@echo "make fuzz     hostile input of every kind under libFuzzer (TARGETS=\"reader session …\", SECONDS=$(SECONDS) each, JOBS=$(JOBS))"
	@echo "make simulate whole lives of a server, each from one seed (SEED=$(SEED), RUNS=$(RUNS); VERBOSE=1 tells each event)"
	@echo "make bench    ours beside its peers: table and plots in build/bench, eight minutes (BENCH=\"options of bench/run\")"
	@echo "make bench-quick  a minute of that: all of it works"
	@echo "make memcheck the small build under valgrind: a server of virtual devices, and probes"
	@echo "make robustness   both builds with slow guests and dying devices, JOBS=$(JOBS) scenarios at a time; QUICK=1: seconds instead of minutes"
	@echo "make soak     MINUTES=$(MINUTES) with DEVICES=$(DEVICES) and guests that come and go, with the address sanitizer"
	@echo "make bench-tools  simulated USB devices at native speed: build/bench/usbfs-sim"
	@echo "make small    the Embedded Swift build: $(SMALL)"
	@echo "              ARCH=arm64 and ARCH=armv7 cross-compile, PARTS=server leaves out probe and virtual devices"
	@echo "make small-test   tests of it, those of ARM under qemu-user (ARCH, PARTS)"
	@echo "make deb      a Debian package of it: $(DEB) (ARCH, PARTS)"
	@echo "make e2e      both builds against virtual machines, and those of MACHINES=\"$(MACHINES)\" in one of their own"
	@echo "make build/bench/usb-guests   the load generator; make bench-test tests it"
	@echo "make format   format the Swift sources; make lint checks them and the manual"
	@echo "make install  into PREFIX=$(PREFIX), below DESTDIR if that is set"
	@echo "make clean    remove what was built"

build:
	@tools/install-packages run
	$(SWIFT_RELEASE)

run: build
	@tools/run-demo $(RELEASE) "$(ADDRESS)" "$(TEXT)"

test:
	@tools/install-packages test
	swift build --build-tests $(SANITIZED)
	swift test --skip-build $(SANITIZED) $(if $(SANITIZE),--no-parallel,--skip $(STARTING))
	LD_PRELOAD=libumockdev-preload.so.0 swift test --skip-build $(SANITIZED) --filter MockedUsbfs
ifeq ($(SANITIZE),)
	swift test --skip-build --no-parallel --filter $(STARTING)
	bench/usbfs-sim/check
	bench/check-costs .build/debug/usbredir-evloop
endif

# With `make -j2` both at a time.
sanitizers: test-address test-thread
test-address test-thread: test-%:
	$(MAKE) test SANITIZE=$*

fuzz:
	@tools/install-packages run
	tools/fuzz replay
	tools/fuzz run $(SECONDS) $(JOBS) $(TARGETS)

simulate:
	@tools/install-packages run
	@tools/simulation build/simulation
	@$(if $(VERBOSE),SIMULATE_VERBOSE=1) build/simulation/simulate $(SEED) $(RUNS)

# What bench/ runs on: the simulated usbfs, and what counts system calls and allocations.
bench-tools:
	@tools/install-packages test
	@$(MAKE) --no-print-directory -C bench/usbfs-sim
	@$(MAKE) --no-print-directory -C bench/costs

# What the server is compared with, and what counts for all of them.
bench-peers:
	@tools/install-packages bench
	@$(MAKE) --no-print-directory -C bench/peers

# Options of bench/run.
BENCH ?=
bench: build small bench-tools bench-peers build/bench/usb-guests
	bench/run $(BENCH)

bench-quick: build small bench-tools bench-peers build/bench/usb-guests
	bench/run --quick

memcheck: $(NATIVE)
	@tools/install-packages memcheck
	tools/memcheck $(NATIVE)

# Preloaded into servers under test.
SCARCITY = build/robustness/scarcity.so
HEAP = build/robustness/heap.so
$(SCARCITY) $(HEAP): build/robustness/%.so: Tests/robustness/%.c
	@mkdir -p $(@D)
	@echo "compiling $(notdir $@)"
	@gcc -std=gnu11 -O2 -Wall -Wextra -Werror -shared -fPIC -o $@ $< -ldl

robustness: build bench-tools $(NATIVE) $(SCARCITY)
	@tools/install-packages robustness
	Tests/robustness/run --jobs $(JOBS) $(if $(QUICK),--quick) $(RELEASE) $(NATIVE)

soak: bench-tools build/bench/usb-guests $(HEAP)
	@tools/install-packages robustness
	swift build -c release --sanitize=address --scratch-path .build-address --product usbredir-evloop
	Tests/robustness/soak --minutes $(MINUTES) --devices $(DEVICES) .build-address/release/usbredir-evloop

small: $(SMALL)
	@tools/binary-facts $(SMALL)

# A binary that says the wrong things is none.
.DELETE_ON_ERROR:
$(SMALL): $(SMALL_SOURCES) $(SMALL_BUILD)
	@tools/install-packages run $(CROSS:%=cross)
	@[ -z "$(SYSROOT)" ] || [ -d "$(SYSROOT)" ] || tools/sysroot $(ARCH) "$(SYSROOT)"
	@echo "compiling $@"
	@tools/small $(ARCH) "$(SYSROOT)" $@ $(SMALL_SOURCES)
	@[ -n "$(PARTS)$(CROSS)" ] || tools/check-texts $@

$(SMALL)-checks: $(CHECKED) $(SMALL_BUILD) | $(SMALL)
	@echo "compiling $@"
	@tools/small $(ARCH) "$(SYSROOT)" $@ $(CHECKED)

small-test: small $(if $(PARTS),,$(SMALL)-checks)
	@tools/install-packages run $(if $(CROSS),emulation,test)
	@[ -z "$(CROSS)" ] || [ -x $(NATIVE) ] || $(MAKE) small ARCH=x86_64
	Tests/small/run $(ARCH) "$(SYSROOT)" $(SMALL) $(SMALL)-checks $(NATIVE) $(PARTS:%=absent)
	@[ -n "$(CROSS)" ] || bench/check-costs $(SMALL)

deb: small
	@tools/install-packages run $(CROSS:%=emulation)
	tools/deb $(ARCH) $(SMALL) $(DEB)
	@tools/check-deb $(ARCH) "$(SYSROOT)" $(DEB)

e2e: build small
	@tools/install-packages e2e $(MACHINES:%=cross)
	@for arch in $(MACHINES); do $(MAKE) --no-print-directory small ARCH=$$arch PARTS= || exit; done
	Tests/e2e/run --jobs $(JOBS) --binary $(RELEASE),ordinary --binary $(SMALL),embedded \
	  $(foreach arch,$(MACHINES),--binary build/small-$(arch)/usbredir-evloop,$(arch))

# A package of its own, with dependencies that the product has not; it knows itself what is up to date.
build/bench/usb-guests:
	@tools/install-packages run
	swift build --package-path bench/load -c release --product usb-guests
	@mkdir -p $(@D)
	@ln -sf ../../bench/load/.build/release/usb-guests $@

bench-test:
	@tools/install-packages run
	swift test --package-path bench/load

format:
	swift format --in-place --recursive --parallel $(SWIFT_FILES)

lint:
	@tools/install-packages lint
	swift format lint --strict --recursive --parallel $(SWIFT_FILES)
	LC_ALL=C.UTF-8 man --warnings -l docs/usbredir-evloop.1 2>&1 >/dev/null | (! grep .)

install: build
	install -D -s -m 755 $(RELEASE) $(DESTDIR)$(PREFIX)/bin/usbredir-evloop
	install -D -m 644 docs/usbredir-evloop.1 $(DESTDIR)$(PREFIX)/share/man/man1/usbredir-evloop.1

clean:
	rm -rf .build build
