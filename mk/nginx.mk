# The gateway's module for the nginx of this system, against the headers and the configuration that
# its package was built with (nginx-dev). Compiled with our own flags, not by nginx's makefile: the
# module holds to the same warnings and hardening as the programs.
NGINX_SOURCE ?= /usr/share/nginx/src
NGINX_HEADERS := $(B)/nginx/objs/ngx_auto_config.h
NGINX_INCLUDES := $(addprefix -isystem $(B)/nginx/,objs src/core src/event src/event/modules \
                    src/os/unix src/http src/http/modules src/http/v2)

# Configuring writes the headers that describe the package's build; nothing of nginx is compiled.
$(NGINX_HEADERS): $(NGINX_SOURCE)/conf_flags
	@mkdir -p $(B)/nginx
	cp -r $(NGINX_SOURCE)/. $(B)/nginx
	cd $(B)/nginx && bash -c '. ./conf_flags && bash ./configure "$${NGX_CONF_FLAGS[@]}"' >configure.log 2>&1 || \
	    { tail -n 20 configure.log; exit 1; }
	@touch $@

# Every instruction here is paid for once a request (doc/benchmarks.md).
GATEWAY_CFLAGS := -fPIC -fvisibility=hidden -fno-plt $(if $(filter -O2,$(CFLAGS)),-O3 -flto=auto)

# Data (.S) is the same object as in the programs.
gateway_objects := $(patsubst src/%,$(B)/obj-gateway/%.o,$(filter %.c,$(call sources,$(MODULES_gateway)))) \
                   $(call objects,$(filter %.S,$(MODULES_gateway)))

$(B)/obj-gateway/%.c.o: src/%.c | $(NGINX_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(ALL_CFLAGS)) $(GATEWAY_CFLAGS) $(NGINX_INCLUDES) -c $< -o $@

$(B)/bin/ngx_http_safehouse_module.so: $(gateway_objects)
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(ALL_CFLAGS)) -fPIC -shared $(GATEWAY_CFLAGS) -o $@ $^ $(LIBS_gateway)

-include $(gateway_objects:.o=.d)

UNIT_gateway := base control write/gateway/known.c write/gateway/pieces.c write/gateway/plan.c \
                write/gateway/terminal.c $(addprefix proc/supervisor/,gateway_conf.c nginx_text.c front_conf.c)
