# Compiler and flags, the same for every program.
CC ?= cc
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 \
        -Wvla -Wnull-dereference -Werror
HARDEN := -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection -fcf-protection \
          -fPIE -Wl,-z,relro,-z,now
CFLAGS ?= -O2 -g
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Isrc -I$(B)/gen -isystem /usr/include/libxml2 $(CFLAGS) $(WARN) $(HARDEN) -MMD -MP
