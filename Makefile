# Safehouse. `make run` and `make test` are all that a newcomer needs; see README.md.
B ?= build
.DEFAULT_GOAL := build

include mk/flags.mk
include mk/bins.mk
include mk/rules.mk
include $(wildcard mk/deps.mk mk/nginx.mk mk/check.mk)

.PHONY: build clean
build: $(addprefix $(B)/bin/,$(BINS)) $(B)/bin/ngx_http_safehouse_module.so

clean:
	rm -rf $(B)
