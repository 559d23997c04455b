# Tests and checks. `make test` is all of them; it ends with "N passed, N failed". Single ones:
#   make unit           unit tests (test/run unit, links, nolink, fuzz, scenario: parts alone)
#   make test-audit     the audit against large servers of Debian's, which it installs, and 1 000 pairs at once
#   make check-asan     unit tests under AddressSanitizer and UBSan
#   make check-links    no program contains a symbol that mk/bins.mk forbids it
#   make check-headers  no module includes a header of one that it must not know
#   make check-man      the manual and the example, against --help and the configuration's fields
#   make soak           what takes long: 10^6 mutated proofs, one row of 10^6 (mk/soak.mk)
#   make fuzz           each fuzz target for SECONDS=60; TARGETS= names some; RUNS=1000000: as many inputs instead
.PHONY: test test-audit test-programs unit check-asan check-links check-headers check-man fuzz

# Unit tests of base link base alone.
UNIT_base := base

tool_bins := $(patsubst test/scenario/tools/%.c,$(B)/test/tools/%,$(wildcard test/scenario/tools/*.c))
$(B)/test/tools/%: test/scenario/tools/%.c $(call objects,base tlog/merkle.c record)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -pie -o $@ $(filter-out %.so,$^) -lsodium $(TOOL_LIBS_$*)

# The two that write to a store's folder.
TOOL_LIBS_tamper := $(UNIT_LIBS_store)
TOOL_LIBS_fill   := $(UNIT_LIBS_store)
$(B)/test/tools/fill: $(call objects,store tlog read/ledger)
TOOL_LIBS_subjectkey := -lsqlite3
$(B)/test/tools/subjectkey: $(call objects,read/subject)
$(addprefix $(B)/test/tools/,tamper fill): | $(CHDB_DIR)/libchdb.so

# Preloaded into a program, they change what it is told.
preload_libs := $(patsubst test/scenario/preload/%.c,$(B)/test/tools/%.so,$(wildcard test/scenario/preload/*.c))
$(B)/test/tools/%.so: test/scenario/preload/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -fPIC -shared -o $@ $<

test-programs: build $(B)/bench/rules $(unit_bins) $(tool_bins) $(preload_libs) test/scenario/node_modules/.stamp
test: test-programs
	@B=$(B) test/run

test/scenario/node_modules/.stamp: test/scenario/package.json test/scenario/package-lock.json
	cd test/scenario && npm ci --no-audit --no-fund --loglevel=error
	touch $@

test-audit: build $(tool_bins)
	SAFEHOUSE_BIN=$(abspath $(B))/bin node --test --test-reporter=spec test/audit/servers.test.mjs
	SAFEHOUSE_BIN=$(abspath $(B))/bin AUDIT_ADDRESSES=50 node --test --test-reporter=spec test/scenario/auditnet.test.mjs

unit: $(filter-out $(addprefix $(B)/test/unit/,$(addsuffix /%,$(NOT))),$(unit_bins))
	@B=$(B) NOT="$(NOT)" test/run unit

# The sanitizers see more at -O1; the warnings are the ordinary build's business, where the optimiser
# that some of them need runs as it will in production. libchdb has an allocator of its own, with which
# AddressSanitizer does not start; the vault's tests are of a sandboxed program, which the sanitizer's
# system calls would end.
check-asan:
	@UNIT_SECONDS=600 $(MAKE) --no-print-directory B=$(B)/asan NOT="store vault" WARN= HARDEN=-fPIE \
	    CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all" unit

check-links: $(addprefix $(B)/bin/,$(BINS)) $(GATEWAY)
	@sh mk/check-links.sh $(B) $(foreach p,$(BINS),"$(p):$(FORBIDDEN_$(p))") \
	    "$(notdir $(GATEWAY)):$(FORBIDDEN_gateway)"

# What a module's sources may include beside their own headers. Programs add nothing to that: each
# program's modules include only one another.
KNOWS_base    :=
KNOWS_ipc     := base
KNOWS_ring    := base
KNOWS_tlog    := base
KNOWS_record  := base tlog
KNOWS_codec   := base
KNOWS_llm     := base
KNOWS_control := base
KNOWS_store   := base tlog record
KNOWS_write   := base ipc ring tlog record codec llm control
KNOWS_audit   := base llm write/detect
KNOWS_read    := base ipc tlog record codec llm store
INCLUDES_safehouse-console := read/people/verbs.h
# The command line knows the store's output formats and the vault's verbs, and links none of them.
INCLUDES_safehouse := store/formats.h read/people/verbs.h
# Both programs of the audit know the verdicts' words.
INCLUDES_safehouse-audit := audit/verdict.h
layers := $(patsubst src/%,%,$(filter-out src/proc,$(wildcard src/*)))
check-headers:
	@sh mk/check-headers.sh $(foreach m,$(layers),"$(m):$(m) $(KNOWS_$(m))") \
	    $(foreach p,$(BINS) gateway,"$(MODULES_$(p)):$(MODULES_$(p)) $(INCLUDES_$(p))")

# test/nolink/*.c: linked as the sealer is, with a main of their own; under reading/ with the reading
# side too.
writing := $(call objects,$(filter-out proc/%,$(MODULES_safehouse-sealer)))
$(B)/nolink/bin/reading/%: test/nolink/%.c $(writing) $(call objects,read/unseal)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -pie -o $@ $^ $(LIBS_safehouse-sealer)
$(B)/nolink/bin/sandbox: $(filter-out %/main.c.o,$(call objects,proc/sealer)) src/proc/sealer/main.c
$(B)/nolink/bin/%: test/nolink/%.c $(writing)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -pie -o $@ $(filter-out src/%,$^) $(LIBS_safehouse-sealer)
# What a variable is, for scripts.
show-%:
	@echo $($*)

check-man: $(B)/bin/safehouse
	@sh mk/check-man.sh $(B)/bin/safehouse doc/man/*.[0-9]

SECONDS ?= 60
fuzz:
	@B=$(B) RUNS=$(RUNS) test/fuzz/run $(SECONDS) $(TARGETS)
