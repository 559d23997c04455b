# make install: under PREFIX, or DESTDIR/PREFIX for packagers. The programs lie together in a folder of
# their own, where `safehouse` finds the others beside itself and the store its library.
PREFIX ?= /usr/local
MANDIR := $(DESTDIR)$(PREFIX)/share/man
HOME_  := $(DESTDIR)$(PREFIX)/lib/safehouse

.PHONY: install
install: build
	install -d $(HOME_)/programs/bin $(HOME_)/$(CHDB_DIR) $(DESTDIR)$(PREFIX)/bin \
	    $(DESTDIR)$(PREFIX)/share/doc/safehouse $(MANDIR)/man1 $(MANDIR)/man5 $(MANDIR)/man8
	install -s $(addprefix $(B)/bin/,$(BINS)) $(GATEWAY) $(HOME_)/programs/bin
	install -m 644 $(CHDB_DIR)/libchdb.so $(HOME_)/$(CHDB_DIR)
	ln -sf ../lib/safehouse/programs/bin/safehouse $(DESTDIR)$(PREFIX)/bin/safehouse
	install -m 644 LICENSE README.md SECURITY.md CHANGES.md examples/*.yaml examples/grafana.json \
	    $(DESTDIR)$(PREFIX)/share/doc/safehouse
	for page in doc/man/*.[158]; do \
	    install -m 644 $$page $(MANDIR)/man$${page##*.} || exit 1; done
	ln -sf safehouse-unlock.1 $(MANDIR)/man1/safehouse-lock.1
	ln -sf safehouse-signin.1 $(MANDIR)/man1/safehouse-signout.1
	ln -sf safehouse-signin.1 $(MANDIR)/man1/safehouse-whoami.1
