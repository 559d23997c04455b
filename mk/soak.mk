# Tests that take long: `make soak`. Each says what it found and ends with an exit code.
#   proofs   10^6 mutated proofs against each of the two verifiers, none accepted
#   console  1 000 idle connections, 10 000 sign-ins, a result of 10^7 rows to a slow reader: bounded memory
#   verify   one row of 10^6 dropped, one bit of 10^6 rows flipped: named, by both verifiers
#   kills    kill -9 of the vault at every system call of an opening and of an erasure
.PHONY: soak soak-proofs soak-console soak-verify soak-kills
soak: soak-proofs soak-console soak-verify soak-kills

soak-console: build test/scenario/node_modules/.stamp
	@SAFEHOUSE_BIN=$(abspath $(B))/bin node test/soak/console.mjs

soak-proofs: $(B)/test/unit/verify/test_proofs
	@MUTATIONS=1000000 $<
	@node test/verify/mutate.mjs 1000000

soak-verify: build $(B)/test/tools/fill $(B)/test/tools/tamper
	@B=$(B) node test/soak/verify.mjs

soak-kills: build test/scenario/node_modules/.stamp
	@KILLS=all B=$(B) SAFEHOUSE_BIN=$(abspath $(B))/bin node --test --test-reporter=spec --test-name-pattern='kill -9' test/scenario/ledger.test.mjs \
	    test/scenario/subjects.test.mjs
