# Tests that take long: `make soak`. Each says what it found and ends with an exit code.
#   proofs   10^6 mutated proofs, none accepted
#   verify   one row of 10^6 dropped, one bit of 10^6 rows flipped: named, by both verifiers
.PHONY: soak soak-proofs soak-verify
soak: soak-proofs soak-verify

soak-proofs: $(B)/test/unit/verify/test_proofs
	@MUTATIONS=1000000 $<

soak-verify: build $(B)/test/tools/fill $(B)/test/tools/tamper
	@B=$(B) node test/soak/verify.mjs
