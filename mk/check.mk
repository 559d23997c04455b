# Tests and checks. `make test` is all of them; it ends with "N passed, N failed".
.PHONY: test check-links check-headers fuzz

tool_bins := $(patsubst test/scenario/tools/%.c,$(B)/test/tools/%,$(wildcard test/scenario/tools/*.c))
$(B)/test/tools/%: test/scenario/tools/%.c $(call objects,base record)
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -pie -o $@ $^ -lsodium

test: build $(unit_bins) $(tool_bins) test/scenario/node_modules/.stamp
	B=$(B) test/run

test/scenario/node_modules/.stamp: test/scenario/package.json test/scenario/package-lock.json
	cd test/scenario && npm ci --no-audit --no-fund --loglevel=error
	touch $@

check-links: $(addprefix $(B)/bin/,$(BINS))
	@sh mk/check-links.sh $(B) $(foreach p,$(BINS),"$(p):$(FORBIDDEN_$(p))")
