# How a program comes from its modules (mk/bins.mk), and a unit test from its folder.

# Sources of a module list: a folder gives its .c files, a file itself.
sources = $(foreach m,$(1),$(if $(filter %.c %.S,$(m)),src/$(m),$(wildcard src/$(m)/*.c)))
objects = $(patsubst src/%,$(B)/obj/%.o,$(call sources,$(1)))

$(B)/obj/%.c.o: src/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(B)/obj/%.S.o: src/%.S $(wildcard src/codec/dictionary/*.zdict src/codec/dictionary/corpus/*.txt src/write/detect/rules/*.yaml)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

# The detector's rules, compiled when the program is built: by a program of its own, which is linked with
# all of the detector but what it makes (src/write/detect/database.h).
$(B)/gen/detect-make: $(call objects,write/detect/make base record/fingerprint.c write/detect write/detect/rules.S)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -pie -o $@ $^ -lsodium -lyaml -lhs -lpcre2-8
$(B)/gen/detect-0.hsdb: $(B)/gen/detect-make
	$< $(@D)
$(B)/gen/detect-1.hsdb: $(B)/gen/detect-0.hsdb
$(B)/obj/write/detect/database.S.o: src/write/detect/database.S $(B)/gen/detect-0.hsdb $(B)/gen/detect-1.hsdb
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Wa,-I$(B)/gen -c $< -o $@

define PROGRAM
$(B)/bin/$(1): $(call objects,$(MODULES_$(1)))
	@mkdir -p $$(@D)
	$$(CC) $$(ALL_CFLAGS) -pie -o $$@ $$^ $$(LIBS_$(1))
endef
$(foreach p,$(BINS),$(eval $(call PROGRAM,$(p))))

# test/unit/<module>/test_*.c: one program each, linked with the modules that MODULES_unit names.
# UNIT_<module> may name the modules that it needs beside base.
UNIT_codec   := base codec codec/dictionary.S
UNIT_llm     := base llm
UNIT_record  := base tlog record
UNIT_ring    := base ring
UNIT_control := base control
UNIT_ipc     := base ipc ipc/dial
UNIT_seal    := base tlog/merkle.c record write/seal read/unseal
UNIT_unseal  := base tlog/merkle.c record write/seal read/unseal
UNIT_subject := base tlog/merkle.c record read/subject
UNIT_people  := base tlog/merkle.c record read/people
UNIT_tlog    := base tlog
UNIT_ledger  := base tlog record read/ledger
UNIT_vault   := base ipc ipc/dial tlog record read/subject read/ledger
UNIT_verify  := base tlog/merkle.c record read/verify
UNIT_turn    := base tlog/merkle.c record llm write/turn
UNIT_spool   := base tlog/merkle.c record write/spool
UNIT_supervisor := base ipc ipc/dial tlog/merkle.c record ring control write/detect $(DETECT_DATA) proc/supervisor proc/demo/demo.c
UNIT_query   := base ipc ipc/dial tlog/merkle.c record codec/codec_decompress.c codec/dictionary.S llm/json.c llm/reqscan.c read/query
UNIT_http    := base llm/json.c llm/reqscan.c read/query/format.c read/http
UNIT_sealer  := base tlog/merkle.c record ring llm/json.c llm/reqscan.c write/detect $(DETECT_DATA) write/policy write/mask/mask.c write/mask/nest.c write/mask/put.c proc/sealer/findings.c proc/sealer/known.c
UNIT_store   := base ipc tlog/merkle.c record store proc/store/console.c proc/store/question.c
UNIT_detect  := base tlog/merkle.c record llm write/turn write/detect $(DETECT_DATA)
UNIT_mask    := base record/fingerprint.c llm write/detect $(DETECT_DATA) write/mask
UNIT_policy  := base write/policy
UNIT_LIBS    := -lcmocka -lsodium -lcrypto -lzstd -llz4 -lz -lsqlite3 -ljansson -lyaml -lhs -lpcre2-8
UNIT_LIBS_store := -L$(CHDB_DIR) -lchdb -Wl,-rpath,$(CURDIR)/$(CHDB_DIR) -lpthread

unit_tests := $(wildcard test/unit/*/test_*.c)
unit_bins  := $(patsubst test/unit/%.c,$(B)/test/unit/%,$(unit_tests))
.SECONDEXPANSION:
$(unit_bins): $(B)/test/unit/%: test/unit/%.c $$(call objects,$$(UNIT_$$(firstword $$(subst /, ,$$*))))
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -Wno-missing-prototypes -pie -o $@ $^ $(UNIT_LIBS) $(UNIT_LIBS_$(firstword $(subst /, ,$*)))

# The vault's tests run the program itself.
$(filter $(B)/test/unit/vault/%,$(unit_bins)): | $(B)/bin/safehouse-vault

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)
