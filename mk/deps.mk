# What the build needs beside make, in one place. Whatever is missing is installed before anything
# else happens: Debian's packages by apt (as root; otherwise the command to give is said), libchdb from
# npm. With all of it there, nothing is asked of the network. `make DEPS=no ...` checks nothing, for
# systems that have the same things under other names.

# A package, or package:command where the command may come from elsewhere.
DEB_BUILD := gcc:cc libc6-dev binutils:nm libsodium-dev libssl-dev libsqlite3-dev libyaml-dev libjansson-dev \
             libzstd-dev liblz4-dev libvectorscan-dev libpcre2-dev libxml2-dev libcurl4-openssl-dev libmicrohttpd-dev zlib1g-dev nginx nginx-dev ca-certificates curl:curl nodejs:node npm:npm
DEB_TEST  := libcmocka-dev valgrind:valgrind gdb:gdb openssl:openssl clang:clang libclang-rt-14-dev mandoc:mandoc strace:strace iproute2:ip \
             redis-server memcached nats-server mosquitto etcd-server
# Servers that `make test-audit` looks at, beside those.
DEB_AUDIT := clickhouse-server postgresql-15 mariadb-server zookeeper rabbitmq-server influxdb prometheus jupyter-server nmap:nmap

# `clean` and `help` need nothing, tests and checks both lists, everything else the first.
deps_goals := $(filter-out clean help,$(or $(MAKECMDGOALS),$(.DEFAULT_GOAL)))
deps_tests := $(filter test% unit check-% fuzz bench% soak% $(B)/test/%,$(deps_goals))
deps_dry   := $(findstring n,$(filter-out --%,$(firstword -$(MAKEFLAGS))))

ifeq ($(if $(deps_dry),no,$(DEPS))$(if $(deps_goals),,no),)
$(shell sh mk/deps.sh $(DEB_BUILD) $(if $(deps_tests),$(DEB_TEST)) $(if $(filter test-audit,$(deps_goals)),$(DEB_AUDIT)) >&2)
ifneq ($(.SHELLSTATUS),0)
$(error some of what Safehouse needs is not there)
endif
endif

# libchdb is ClickHouse as a library. The integrity value is npm's own form; it is checked here against
# the file itself, whatever served it.
CHDB_PACKAGE   := @chdb/lib-linux-x64-gnu
CHDB_VERSION   := 26.7.3-stable.1
CHDB_INTEGRITY := sha512-XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==

chdb_there := $(shell grep -s '"version": "$(CHDB_VERSION)"' $(CHDB_DIR)/package.json)
$(CHDB_DIR)/libchdb.so: $(if $(chdb_there),,FORCE)
	@sh mk/chdb.sh $(CHDB_PACKAGE)@$(CHDB_VERSION) $(CHDB_INTEGRITY) $(CHDB_DIR)
.PHONY: FORCE

$(B)/bin/safehouse-store $(filter $(B)/test/unit/store/%,$(unit_bins)): | $(CHDB_DIR)/libchdb.so
