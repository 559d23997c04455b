# Safehouse. `make run` and `make test` are all that a newcomer needs; see README.md.
#   make build     programs, in build/bin
#   make run       an installation in ./var, started in the foreground; DIR= LISTEN= UPSTREAM= CONFIG=
#                  choose others
#   make test      every test; `make help` lists the single checks
#   make install   PREFIX=/usr/local DESTDIR=
# B=FOLDER builds elsewhere. As many jobs as there are processors, unless -j says otherwise.
B ?= build
.DEFAULT_GOAL := build
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

GATEWAY := $(B)/bin/ngx_http_safehouse_module.so

include mk/flags.mk
include mk/bins.mk
include mk/rules.mk
include mk/deps.mk
include mk/check.mk
include mk/install.mk
-include $(wildcard mk/nginx.mk mk/bench.mk mk/soak.mk)

.PHONY: build run clean help
build: $(addprefix $(B)/bin/,$(BINS)) $(GATEWAY)

# The build's output goes to a file, so that what is said afterwards is not lost in it.
run:
	@mkdir -p $(B)
	@echo "Building (the first time takes a minute or two; $(B)/build.log has the details)"
	@$(MAKE) --no-print-directory build >$(B)/build.log 2>&1 || { tail -n 30 $(B)/build.log; exit 1; }
	@B="$(B)" DIR="$(DIR)" LISTEN="$(LISTEN)" UPSTREAM="$(UPSTREAM)" CONFIG="$(CONFIG)" sh mk/run.sh

clean:
	rm -rf $(B)

help:
	@sed -n 's/^#   //p' Makefile mk/check.mk
