# SPDX-License-Identifier: ISC
# eddy: make help lists what there is.  Everything generated is under build/.

PREFIX       ?= /usr/local
LIBDIR       ?= $(PREFIX)/lib
INCLUDEDIR   ?= $(PREFIX)/include
MANDIR       ?= $(PREFIX)/share/man
PKGCONFIGDIR ?= $(LIBDIR)/pkgconfig
DESTDIR      ?=

CFLAGS       ?= -O2 -g
CXXFLAGS     ?= -O2 -g
PKG_CONFIG   ?= pkg-config
CLANG_FORMAT ?= clang-format
# SAN=address,undefined or SAN=thread: a build of its own below build/.
SAN          ?=
# DEBUG=1: checks on the way, in a build of its own; see eddy-dump(3).
DEBUG        ?=
# ONE=1: the library is the two files of make amalgamation.
ONE          ?=
# N=pattern runs the tests whose case matches.
V            ?= 0
SECONDS      ?= 60

VERSION := $(shell sed -n 's/.define EDDY_VERSION *"\(.*\)"/\1/p' \
	include/eddy/base.h)
# Other compilers, sanitized builds and ONE=1 have directories of their own.
B       := build$(addprefix /,$(filter-out cc gcc,$(notdir $(CC))) $(SAN) \
	$(if $(DEBUG),debug) $(if $(ONE),one))
B       := $(subst $() ,,$(B))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wconversion -Wvla -Wundef -Wpointer-arith -Wwrite-strings
ours := -std=c11 -D_GNU_SOURCE -Iinclude -Ilib $(WARN) -MMD -MP -pthread \
	-ffunction-sections -fdata-sections $(if $(DEBUG),-DEDDY_DEBUG) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
link := -pthread $(if $(SAN),-fsanitize=$(SAN))

# Only the cluster's demo, test and bench need it.
gearman = $(shell echo '\#include <libgearman/gearman.h>' | \
	$(CC) $(CPPFLAGS) -E - >/dev/null 2>&1 && echo yes)

lib_o   := $(if $(ONE),$(B)/eddy.o, \
	$(patsubst %.c,$(B)/%.o,$(sort $(wildcard lib/*.c))))
# Those that put themselves between the files of lib/ need them apart.
link_of  = $$(sed -n 's/^.* link: \(.*\) \*\/$$/\1/p' $(1))
checks  := $(patsubst test/%.c,$(B)/%,$(sort $(if $(ONE),$(filter-out %_fuzz.c, \
	$(shell grep -LE ' link: |\.c"' test/check_*.c)),$(wildcard test/check_*.c))))
benches := $(patsubst bench/%.c,$(B)/%,$(sort $(filter-out \
	$(if $(gearman),,bench/bench_cluster.c),$(wildcard bench/bench_*.c))))
# What the benches have at their side, where it is installed; only they ask.
ifneq ($(findstring bench,$(MAKECMDGOALS)),)
include := \#include
has      = $(shell echo '$(include) <$(2)>' | $(1) -E - >/dev/null 2>&1 && \
	echo $(3))
c_has    = $(call has,$(CC) $(CPPFLAGS),$(1),$(2))
cxx_has  = $(call has,$(CXX) -std=c++20 -x c++,$(1),$(2))
# libev has names of libevent's, too: it comes last.
timers  := $(call c_has,event2/event_struct.h,libevent -levent_core) \
	$(call c_has,uv.h,libuv -luv) $(call c_has,ev.h,libev -lev)
# Those of the system are for its own compilers and unsanitized.
native  := $(if $(SAN)$(findstring musl,$(CC)),,yes)
glib_cc := $(if $(native),$(shell $(PKG_CONFIG) --cflags glib-2.0 2>/dev/null))
others  := $(if $(glib_cc),glib $(shell $(PKG_CONFIG) --libs glib-2.0)) \
	$(if $(native),$(call cxx_has,boost/asio/version.hpp,asio -lstdc++))
pools   := $(filter libuv -luv,$(timers)) $(others)
posts   := $(filter libuv -luv libev -lev,$(timers)) $(others)
# Programs of other languages, for pools.
aliens  := $(if $(native),$(if $(wildcard /usr/bin/go),go) \
	$(if $(wildcard /usr/share/cargo/registry/tokio-1*),tokio))
tasks   := $(if $(native),$(call cxx_has,coroutine,cpp20 -lstdc++))
endif
bench_deps := cargo g++ gnuplot-nox golang-go libboost-dev libev-dev libevent-dev \
	libglib2.0-dev librust-tokio-dev libuv1-dev python3-uvloop strace valgrind
pages   := $(sort $(wildcard man/*.[37]))
headers := $(sort $(wildcard include/eddy/*.h))

ifeq ($(V),0)
say = @printf '  %-4s %s\n' $(1) $@;
endif

.PHONY: all help demo trace-picture demo-cluster server check bench bench-server \
	bench-size fuzz matrix proof proof-table qemu lint static vm \
	models format tags compdb cov examples hosts consumer amalgamation dist \
	man html install uninstall clean
.SECONDARY:

all: $(B)/libeddy.a $(B)/eddy.pc

help:
	@sed -n 's/^#: //p' Makefile

#: all          libeddy.a and eddy.pc (the default)
#: server       bench/server.c as build/server
#: demo         run the mixing demonstration; DIR=path TSV=file
#: trace-picture a trace of it as build/trace.svg (needs python3, gnuplot)
#: demo-cluster the same through Gearman, too; SERVERS=host:port,...
#: check        build and run all tests (needs Check); check-NAME: one suite
#: bench        run the benchmarks; bench-NAME: one; QUICK=1: short;
#:              BASE=dir: what has moved since; figures in build/bench/*.tsv
#: bench-server echoes beside hashing on the process pool (needs wrk)
#: bench-size   bytes of a static echo program, beside other libraries
#: bench-page   the last run of make bench into the tables of eddy-performance(7)
#: bench-deps   how to install what they have at their side
#: torture      each call of lib/ failing in turn, with every error it can have;
#:              then static programs under strace (needs Check); QUICK=1: only
#:              what make check has not got
#: torture-asan the same with SAN=address,undefined, without the static programs
#: fuzz-channel 10^7 bits flipped in what workers share (needs Check)
#: storm        100,000 jobs, 3,000 kills of workers, 200 of hosts (needs Check)
#: simulate     10^7 steps of made-up programs on a made-up kernel against a
#:              model (needs Check); EVENTS=n SEED=s
#: nemesis      histories of pools under 100,000 kills of workers, 1,000 of
#:              zygotes, 2,000 of hosts, 2,000 stops; TIMES=1: a tenth; SEED=s
#: soak         nemesis, simulate and storm for HOURS=8, watched for growth
#: lint         headers, symbols, layers, pages, format
#: fuzz         libFuzzer on each target for SECONDS=60 (needs clang)
#: static       cppcheck, gcc -fanalyzer, clang --analyze, clang-tidy
#: matrix       every suite with gcc -O0 to -Os, LTO, hardened, clang, static,
#:              musl, each sanitizer, valgrind; SUITES="loop task" WAYS="gcc-Os"
#:              for some
#: proof        all of these, hours; what each has shown as one table;
#:              proofs="check models matrix-gcc-Os" for some
#: proof-table  that table, of what has been run
#: qemu         the same on aarch64, riscv64, s390x, arm and i386 (those with times
#:              of 32 and of 64 bits); WAYS="s390x arm-time64" for some (needs
#:              cross compilers and qemu-user-static)
#: vm           the tests on KERNEL=vmlinuz, as 5.10 (needs qemu-system-x86,
#:              busybox-static); SUITES="loop task"
#: models       the Spin models and their planted bugs (needs spin); then the
#:              pool itself under each schedule of three preemptions (needs Check)
#: hosts        eddy inside libuv, libev, GLib and the other way round
#: examples     build and run the programs in README.md and the pages
#: cov          line and branch coverage of lib/ (needs gcovr); what may stay
#:              uncovered: test/uncovered.txt
#: mutants      N=200 wrong tokens in lib/, drawn by SEED=1: which are noticed by
#:              the suites (as root), JOBS=1 at a time; LIST=file: of those in
#:              it alone, or, of what it printed, those that were not; what may
#:              stay: test/survivors.txt
#: consumer     install, and build programs with cc, CMake, Meson, musl
#: man          eddy(7) without installing it; PAGE=eddy_map: another
#: html         all pages into build/html, from index.html (needs mandoc)
#: amalgamation lib/ and include/ as build/eddy.c and build/eddy.h
#: dist         build/eddy-VERSION.tar.gz, always of the same bytes
#: format       clang-format on all sources
#: tags         build/tags, for editors (needs ctags)
#: compdb       build/compile_commands.json, for tools (needs bear)
#: install      into PREFIX, DESTDIR, LIBDIR, INCLUDEDIR, MANDIR, PKGCONFIGDIR
#: uninstall    takes away what install has put there
#: clean        removes build/
#: Variables: CC AR CFLAGS CPPFLAGS LDFLAGS SAN=address,undefined|thread V=1
#:            ONE=1: build and test the amalgamation; DEBUG=1: with checks

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(ours) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Fit for shared objects, which do not export it.
$(lib_o): ours += -fPIC -fvisibility=hidden

build/eddy.c: test/amalgamate.sh include/eddy.h $(headers) $(wildcard lib/*.[ch])
	$(call say,GEN)sh test/amalgamate.sh build

$(B)/eddy.o: build/eddy.c
	@mkdir -p $(@D)
	$(call say,CC)$(CC) -std=c11 $(WARN) -MMD -MP -pthread -fPIC \
	    $(if $(SAN),-fsanitize=$(SAN)) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

# Only for the benches.
$(B)/%.o: %.cc
	@mkdir -p $(@D)
	$(call say,CXX)$(CXX) -std=c++20 $(filter-out -std=% %-prototypes,$(ours)) \
	    $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

$(B)/libeddy.a: $(lib_o)
	$(call say,AR)rm -f $@ && $(AR) rcs $@ $^

make_pc = sed -e 's|@VERSION@|$(VERSION)|' -e 's|@PREFIX@|$(PREFIX)|' \
	-e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' \
	-e 's|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|' \
	lib/eddy.pc.in

$(B)/eddy.pc: lib/eddy.pc.in include/eddy/base.h Makefile
	@mkdir -p $(@D)
	$(call say,GEN)$(make_pc) >$@

# The latest 65536 events: some 10,000 files.
trace-picture: $(B)/demo
	@$(B)/demo --stall --trace $(B)/trace.json $(or $(DIR),/usr/sbin) >/dev/null
	@python3 bench/trace.py $(B)/trace.json $(B)/trace.svg
	@echo $(B)/trace.svg

demo: $(B)/demo
	@$(B)/demo $(if $(TSV),--tsv $(TSV)) $(DIR)

$(B)/demo: $(B)/bench/demo.o $(B)/libeddy.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(link)

server: $(B)/server

$(B)/server: $(B)/bench/server.o $(B)/libeddy.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(link)

# The same with Gearman job servers, whose client library this alone needs.
demo-cluster:
	@$(if $(gearman),$(MAKE) -s $(B)/demo_cluster)
	@bench/cluster.sh $(B)/demo_cluster $(if $(SERVERS),--servers $(SERVERS)) \
	    $(if $(TSV),--tsv $(TSV)) $(DIR)

cluster_o = $(patsubst %,$(B)/bench/%.o,cluster cluster_line cluster_worker)
$(B)/demo_cluster: $(B)/bench/demo.o $(cluster_o) $(B)/libeddy.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lgearman $(link)

$(B)/bench_%: $(B)/bench/bench_%.o $(B)/bench/bench.o $(B)/libeddy.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	    $(filter %.a,$^) $(link)

peers    = $(patsubst %,$(B)/bench/peers/$(1)_%.o,eddy $(filter-out -l%,$(2)))
$(B)/bench_timer: $(call peers,timer,$(timers))
$(B)/bench_pool: $(call peers,pool,child direct raw ring $(pools))
$(B)/bench_pool: $(patsubst %,$(B)/bench/peers/pool_%,$(aliens))
$(B)/bench_pool: link += $(filter -l%,$(pools))
$(B)/bench_offload: $(B)/bench/peers/floor.o
$(B)/bench_proc: $(call peers,proc,child socket) $(B)/bench/peers/floor.o
$(B)/bench_post: $(call peers,post,raw $(posts))
$(B)/bench_post: link += $(filter -l%,$(posts))
$(B)/bench/peers/%_glib.o: ours += $(subst -I,-isystem ,$(glib_cc))
$(B)/bench_io: $(call peers,io,raw $(timers))
$(B)/bench_io: link += $(filter -l%,$(timers))
$(B)/bench_task: $(call peers,task,floor $(tasks))
$(B)/bench_task: link += $(filter -l%,$(tasks))
$(B)/bench_cluster: $(cluster_o)
$(B)/bench_cluster: link += -lgearman
$(B)/bench_start: $(patsubst %,$(B)/bench/peers/start_%.o,$(filter-out -l%,$(timers)))
$(B)/bench_start: link += $(filter -l%,$(timers))
$(B)/bench_timer: link += $(filter -l%,$(timers))

$(B)/check_%: $(B)/test/check_%.o $(B)/test/census.o $(B)/libeddy.a
	$(call say,LD)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) \
	    $(filter %.a,$^) \
	    $(call link_of,test/check_$*.c) \
	    $$($(PKG_CONFIG) --libs check) $(link)

# The program that it starts.
$(B)/check_server: | $(B)/server

$(B)/test/%.o: ours += -Itest $(shell $(PKG_CONFIG) --cflags check 2>/dev/null)

# The programs in the pages, then every suite, each a binary of its own; the last
# line says how many failed.
.PHONY: suites
check: examples hosts suites

suites: $(checks)
	@test/run.sh $(B) $(checks)

$(B)/check_cluster: $(if $(gearman),$(cluster_o))
$(B)/check_cluster: link += $(if $(gearman),-lgearman)
$(B)/check_fuzz: $(patsubst %,$(B)/test/fuzz/fuzz_%.o,timers tasks http worker)
$(B)/check_fuzz: link += $(call link_of,test/fuzz/fuzz_worker.c)
$(B)/check_simulate: $(B)/test/simulate/kernel.o $(B)/test/simulate/model.o

# libeddy.a with what may fail replaced by test/fault.c, in the archive alone.
$(B)/faulty.o: $(B)/libeddy.a test/fault.c test/calls.sh
	$(call say,LD)$(CC) -r -nostdlib -o $@ -Wl,--whole-archive $< \
	    $$(test/calls.sh | sed 's/^/-Wl,--wrap=/')
$(B)/check_fault: $(B)/faulty.o $(B)/test/fault.o \
	$(patsubst %.c,$(B)/%.o,$(wildcard test/fault/*.c))

check-%: $(B)/check_%
	$<

# At full size; make check has a tenth.
.PHONY: torture torture-asan fuzz-channel storm
torture: $(B)/check_fault
	@test/calls.sh $(B)
	$(if $(QUICK),,$< --all)
	$(if $(SAN),,@CC="$(CC)" test/inject.sh $(B) $(if $(QUICK),1,4))

torture-asan:
	@$(MAKE) -s SAN=address,undefined torture

fuzz-channel: $(B)/check_hostile
	$< --flips 10000000

storm: $(B)/check_storm
	$< --storm

.PHONY: simulate nemesis soak
SEED   ?= 1
EVENTS ?= 10000000
simulate: $(B)/check_simulate
	$< --events $(EVENTS) --seed $(SEED)

nemesis: $(B)/check_nemesis
	$< --times $(or $(TIMES),10) --seed $(SEED)

soak: $(B)/check_nemesis $(B)/check_simulate $(B)/check_storm
	test/soak.sh $(B) $(or $(HOURS),8) $(SEED)

bench: $(benches) $(B)/server
	@rm -f $(B)/bench/*.tsv
	@for b in $(benches); do BENCH_TSV=$(B)/bench $$b || exit; done
	@CC="$(CC)" bash -o pipefail -c \
		'sh bench/size.sh $(B) | tee $(B)/bench/size.tsv'
	@bash -o pipefail -c 'bench/server.sh $(B) | tee $(B)/bench/server.tsv'
	@bench/report.sh $(B)/bench $(BASE)

bench-deps:
	@echo sudo apt-get install -y pkg-config $(bench_deps)

bench-server: $(B)/server
	@bench/server.sh $(B)

bench-size: all
	@CC="$(CC)" sh bench/size.sh $(B)

bench-page:
	@bench/tables.py $(B)/bench man/eddy-performance.7

bench-%: $(B)/bench_%
	@BENCH_TSV=$(B)/bench $<

$(B)/bench/peers/pool_go: bench/peers/pool_go.go
	@mkdir -p $(@D)
	$(call say,GO)GOCACHE=$(CURDIR)/$(B)/bench/go /usr/bin/go build -o $@ $<

$(B)/bench/peers/pool_tokio: bench/peers/pool_tokio.rs
	$(call say,RUST)bench/peers/tokio.sh $< $@

$(B)/bench/bench.o: ours += -DBENCH_FLAGS='"$(CFLAGS)"'

lint: all
	@CC="$(CC)" CLANG_FORMAT="$(CLANG_FORMAT)" test/lint.sh $(B)

models: $(B)/check_schedules
	@sh test/models.sh
	@$< --deep

examples: all
	@CC="$(CC)" CFLAGS="$(CFLAGS) $(link)" test/examples.sh $(B)

# libFuzzer is clang's; it begins with what it found the last time.
fuzz: $(patsubst test/fuzz/fuzz_%.c,fuzz-%,$(sort $(wildcard test/fuzz/fuzz_*.c)))

fuzz-%:
	@mkdir -p build/fuzz/$*
	$(call say,FUZZ)clang -std=c11 -D_GNU_SOURCE -g -O1 -Iinclude -Ilib -pthread \
	    -fsanitize=fuzzer,address,undefined -DFUZZ_TARGET=fuzz_$* \
	    -o build/fuzz/fuzz_$* test/fuzz/libfuzzer.c test/fuzz/fuzz_$*.c lib/*.c \
	    $(call link_of,test/fuzz/fuzz_$*.c)
	@build/fuzz/fuzz_$* -max_total_time=$(SECONDS) -max_len=2000 \
	    -len_control=10 -artifact_prefix=build/fuzz/ build/fuzz/$* \
	    >build/fuzz/$*.log 2>&1 || { tail -40 build/fuzz/$*.log; exit 1; }
	@sed -n 's/^#[0-9]*\tDONE/fuzz $*:/p' build/fuzz/$*.log

ways := gcc-O0 gcc-O2 gcc-O3 gcc-Os gcc-lto hardened debug clang-O2 clang-O0 \
	gcc-static musl-static address,undefined thread memory memcheck
foreign := i386 i386-time64 arm arm-time64 aarch64 riscv64 s390x
proofs := check models static fuzz fuzz-channel storm simulate nemesis \
	torture torture-asan $(ways:%=matrix-%) $(foreign:%=matrix-%) cov mutants

$(B)/proof/%.log: $(wildcard lib/*.[ch] test/*.[ch] test/*.sh)
	@mkdir -p $(@D)
	@echo "proof: make $*" >&2
	@echo "of $$(git describe --always --dirty 2>/dev/null)," \
	    "$$(date '+%Y-%m-%d %H:%M')" >$@.new
	@$(MAKE) -s $* >>$@.new 2>&1; echo "make exit $$?" >>$@.new; mv $@.new $@

proof: $(proofs:%=$(B)/proof/%.log)
	@test/proof.sh $(B)/proof $(proofs)

proof-table:
	@test/proof.sh $(B)/proof $(proofs)

matrix:
	@test/matrix.sh $(or $(WAYS),$(ways))

qemu:
	@test/matrix.sh $(or $(WAYS),$(foreign))

matrix-%:
	@test/matrix.sh $*

vm:
	@test/vm.sh $(B) "$(KERNEL)" $(SUITES)

static:
	@test/static.sh

hosts: all
	@CC="$(CC)" CFLAGS="$(CFLAGS) $(link)" test/hosts.sh $(B)

consumer:
	@CC="$(CC)" sh test/consumer.sh

amalgamation: build/eddy.c

dist:
	@sh test/dist.sh $(VERSION)

# A tree where man finds each page by each of its names.
man:
	@rm -rf build/man && test/pages.sh install build/man $(pages)
	@man -M build/man $(or $(PAGE),eddy)

html:
	@rm -rf build/html && sh test/html.sh build/html $(pages)

format:
	$(CLANG_FORMAT) -i $(filter-out %/task.h,$(headers)) include/eddy.h \
	    lib/*.[ch] test/*.[ch] bench/*.[ch] bench/peers/*.[ch] \
	    test/fault/*.[ch] test/hosts/*.[ch] test/fuzz/*.[ch] \
	    test/shim/*.h test/simulate/*.[ch]

tags:
	@mkdir -p build
	ctags -R -f build/tags include lib test bench

compdb:
	@mkdir -p build
	bear --output build/compile_commands.json -- $(MAKE) -B all

# Children count, too: test/cov.c.  What only DEBUG=1 calls is called there.
covered := CFLAGS='-O0 -g --coverage -fprofile-update=atomic' \
	LDFLAGS='-Wl,-T,test/cov.ld,--wrap=__gcov_exit build/cov/cov.o'
cov:
	@mkdir -p build/cov
	@find build/cov -name '*.gcda' -delete
	@$(CC) -c -o build/cov/cov.o test/cov.c
	@CK_TIMEOUT_MULTIPLIER=4 $(MAKE) -s B=build/cov suites $(covered)
	@$(MAKE) -s B=build/cov/debug DEBUG=1 CPPFLAGS=-DCOVERED check-verify \
	    $(covered)
	@mkdir -p build/cov/hooks && cp build/cov/debug/lib/verify.gc* build/cov/hooks
	@# A thread that ends within a function makes a branch taken -1 times.
	@gcovr -r . --object-directory build/cov build/cov/lib build/cov/hooks \
	    --gcov-ignore-parse-errors \
	    -f lib/ --exclude-branches-by-pattern '^\s*assert\(' --json build/cov/cov.json
	@test/uncovered.py build/cov/cov.json test/uncovered.txt

.PHONY: mutants
mutants:
	@test/mutants.py $(or $(N),200) $(SEED) $(or $(JOBS),1) $(LIST)

install: all
	install -d $(DESTDIR)$(LIBDIR) $(DESTDIR)$(INCLUDEDIR)/eddy \
	    $(DESTDIR)$(PKGCONFIGDIR) $(DESTDIR)$(MANDIR)/man3 \
	    $(DESTDIR)$(MANDIR)/man7
	install -m 644 $(B)/libeddy.a $(DESTDIR)$(LIBDIR)
	$(make_pc) >$(DESTDIR)$(PKGCONFIGDIR)/eddy.pc
	install -m 644 include/eddy.h $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(headers) $(DESTDIR)$(INCLUDEDIR)/eddy
	@test/pages.sh install $(DESTDIR)$(MANDIR) $(pages)

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/libeddy.a $(DESTDIR)$(PKGCONFIGDIR)/eddy.pc \
	    $(DESTDIR)$(INCLUDEDIR)/eddy.h
	rm -rf $(DESTDIR)$(INCLUDEDIR)/eddy
	@test/pages.sh uninstall $(DESTDIR)$(MANDIR) $(pages)

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)
