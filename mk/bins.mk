# The link policy: per program its modules (folders under src/, or single files) and the symbols that
# it must not contain. The link line is the policy; `make check-links` proves the second with nm.
BINS := safehouse safehouse-sealer safehouse-store safehouse-vault safehouse-console safehouse-audit safehouse-demo-upstream

# The detector's rules, as text and compiled.
DETECT_DATA := write/detect/rules.S write/detect/database.S

CHDB_DIR := third_party/chdb

MODULES_safehouse               := base ipc ipc/dial ring control tlog record codec/codec_decompress.c codec/dictionary.S \
                                   llm/json.c llm/reqscan.c read/query read/verify read/ledger/leaf.c read/ledger/walk.c \
                                   write/detect $(DETECT_DATA) audit/scope.c audit/report proc/supervisor proc/cli
LIBS_safehouse                  := -lsodium -lcrypto -lsqlite3 -lyaml -ljansson -lzstd -lhs -lpcre2-8
FORBIDDEN_safehouse             := crypto_box_seal_open crypto_aead_chacha20poly1305_ietf_decrypt chdb_connect

MODULES_safehouse-sealer        := base ipc ring tlog/merkle.c record codec/codec_compress.c codec/dictionary.S \
                                   llm write/seal write/turn write/spool write/detect $(DETECT_DATA) \
                                   write/policy write/mask/mask.c write/mask/nest.c write/mask/put.c proc/sealer
LIBS_safehouse-sealer           := -lsodium -lzstd -lyaml -lhs -lpcre2-8
FORBIDDEN_safehouse-sealer      := crypto_box_seal_open crypto_box_open crypto_aead_chacha20poly1305_ietf_decrypt \
                                   crypto_secretbox_open unseal_ socket connect chdb_connect ZSTD_decompress

MODULES_safehouse-store         := base ipc tlog/merkle.c record store proc/store
LIBS_safehouse-store            := -lsodium -L$(CHDB_DIR) -lchdb -Wl,-rpath,'$$ORIGIN/../../$(CHDB_DIR)' -lpthread
FORBIDDEN_safehouse-store       := crypto_box_ crypto_aead_ crypto_secretbox crypto_kdf_derive unseal_ seal_

MODULES_safehouse-vault         := base ipc tlog record read/unseal read/subject read/ledger read/people proc/vault
LIBS_safehouse-vault            := -lsodium -lsqlite3 -lcrypto
FORBIDDEN_safehouse-vault       := ZSTD_ chdb_connect socket connect

MODULES_safehouse-console       := base ipc $(addprefix record/,context.c datakey.c envelope.c) codec/codec_decompress.c codec/dictionary.S llm/json.c llm/reqscan.c \
                                   $(addprefix read/query/,binary.c cells.c format.c native.c plan.c remote.c rowtype.c tally.c visible.c) read/http proc/console
LIBS_safehouse-console          := -lmicrohttpd -lsodium -ljansson -lzstd -llz4 -lz -lpthread
FORBIDDEN_safehouse-console     := crypto_box_ crypto_aead_ crypto_secretbox crypto_kdf_derive unseal_ sqlite3_ chdb_connect \
                                   socket connect fopen execve

MODULES_safehouse-audit         := base ipc/sandbox.c tlog record llm/json.c llm/reqscan.c write/detect $(DETECT_DATA) \
                                   audit/probe audit/config proc/audit
LIBS_safehouse-audit            := -lssl -lcrypto -lsodium -ljansson -lyaml -lhs -lpcre2-8 -lxml2
FORBIDDEN_safehouse-audit       := crypto_box_ crypto_aead_ sqlite3_ chdb_connect fopen

MODULES_safehouse-demo-upstream := base ipc/sandbox.c proc/demo
LIBS_safehouse-demo-upstream    :=

# The gateway's module is built by nginx's own build (mk/nginx.mk) from these folders.
MODULES_gateway                 := base ring ipc/sandbox.c write/gateway \
                                   record/fingerprint.c write/detect $(DETECT_DATA) write/policy write/mask \
                                   $(addprefix control/,apikey.c snapshot.c limits.c health.c slots.c cost.c money.c metrics.c \
                                   metrics_text.c) \
                                   $(addprefix llm/,dialect.c errors.c json.c reqscan.c splice.c sse.c usage.c)
LIBS_gateway                    := -lsodium -lyaml -lhs -lpcre2-8
FORBIDDEN_gateway               := crypto_box_seal_open crypto_aead_chacha20poly1305_ietf_decrypt unseal_
