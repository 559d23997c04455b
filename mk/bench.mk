# Benchmarks: `make bench` runs all of them, `make bench-NAME` one. Each prints lines
# "bench NAME VALUE UNIT"; bench/NAME.* says what is measured.
.PHONY: bench bench-gateway bench-sealer bench-bytes bench-detect bench-verify bench-open

bench_program = $(CC) $(ALL_CFLAGS) -pie -o $@ $(filter %.c %.o,$^)

# The two ends of the gateway's benchmark.
$(B)/bench/load $(B)/bench/upstream: $(B)/bench/%: bench/%.c bench/http.c bench/net.c bench/http.h bench/net.h
	@mkdir -p $(@D)
	$(bench_program)

$(B)/bench/sealer: bench/sealer.c $(call objects,base tlog/merkle.c record codec/codec_compress.c codec/dictionary.S llm \
    write/seal write/turn write/detect $(DETECT_DATA))
	@mkdir -p $(@D)
	$(bench_program) -lsodium -lzstd -ljansson -lyaml -lhs -lpcre2-8

$(B)/bench/bytes: bench/bytes.c $(call objects,base tlog/merkle.c record codec/codec_compress.c codec/dictionary.S llm \
    write/seal write/turn store)
	@mkdir -p $(@D)
	$(bench_program) -lsodium -lzstd -ljansson $(UNIT_LIBS_store)

$(B)/bench/detect: bench/detect.c $(call objects,base record/fingerprint.c write/detect $(DETECT_DATA))
	@mkdir -p $(@D)
	$(bench_program) -lsodium -lyaml -lhs -lpcre2-8

bench-detect: $(B)/bench/detect bench/secretlint/node_modules/.stamp
	@B=$(B) node bench/detect.mjs

.PHONY: bench-detect-alarms
bench-detect-alarms: build
	@B=$(B) node bench/alarms.mjs $(SET)

# What each rule costs; fails when one slows the whole by more than 20 %. ONLY=ID,ID measures some, RULES=FILE more.
.PHONY: bench-detect-rules
bench-detect-rules: $(B)/bench/rules
	@B=$(B) ONLY=$(ONLY) RULES=$(RULES) node bench/rules.mjs

$(B)/bench/rules: bench/rules.c $(call objects,base record/fingerprint.c write/detect $(DETECT_DATA))
	@mkdir -p $(@D)
	$(bench_program) -lsodium -lyaml -lhs -lpcre2-8

bench/secretlint/node_modules/.stamp: bench/secretlint/package.json bench/secretlint/package-lock.json
	cd bench/secretlint && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(B)/bench/sha: bench/sha.c $(call objects,base tlog/merkle.c record read/verify/sha.c read/verify/shape.c)
	@mkdir -p $(@D)
	$(bench_program) -lsodium -lcrypto

bench: bench-detect bench-detect-rules bench-sealer bench-bytes bench-verify bench-open bench-query bench-gateway

bench-verify: build $(B)/bench/sha $(B)/test/tools/fill
	@$(B)/bench/sha
	@B=$(B) node bench/verify.mjs

bench-open: build test/scenario/node_modules/.stamp
	@B=$(B) SAFEHOUSE_BIN=$(abspath $(B))/bin node bench/open.mjs

bench-gateway: build $(B)/bench/load $(B)/bench/upstream
	@B=$(B) node bench/gateway.mjs

bench-sealer: $(B)/bench/sealer
	@$<

bench-bytes: $(B)/bench/bytes
	@$<

.PHONY: bench-query
bench-query: build $(B)/bench/query test/scenario/node_modules/.stamp
	@B=$(B) SAFEHOUSE_BIN=$(abspath $(B))/bin node bench/query.mjs

$(B)/bench/query: bench/query.c $(call objects,base tlog/merkle.c record store)
	@mkdir -p $(@D)
	$(bench_program) -lsodium $(UNIT_LIBS_store)

$(B)/bench/erase_rows: bench/erase_rows.c $(call objects,base tlog/merkle.c record store)
	@mkdir -p $(@D)
	$(bench_program) -lsodium $(UNIT_LIBS_store)

.PHONY: bench-erase
bench-erase: build $(B)/bench/erase_rows
	@B=$(B) node bench/erase.mjs
