# Installs entra-sync and its systemd service. Nothing here is needed to build
# or test: that is cargo's and scripts/test's.
#
#   make                      target/release/entra-sync
#   sudo make install         to /usr/local; what to do then is said at its end
#   sudo make uninstall       leaves settings, secrets and the user
#
# For a package:
#   make install DESTDIR=/tmp/root PREFIX=/usr
#
# With another PREFIX than /usr and /usr/local, systemd does not look there for
# units: give UNITDIR, SYSUSERSDIR and TMPFILESDIR as well, or install to /etc.

PREFIX      = /usr/local
BINDIR      = $(PREFIX)/bin
DOCDIR      = $(PREFIX)/share/doc/entra-sync
UNITDIR     = $(PREFIX)/lib/systemd/system
SYSUSERSDIR = $(PREFIX)/lib/sysusers.d
TMPFILESDIR = $(PREFIX)/lib/tmpfiles.d
# The unit, sysusers.d and tmpfiles.d name this folder: it cannot be another.
CONFDIR    := /etc/entra-sync
DESTDIR     =

CARGO       = cargo
INSTALL     = install
# What is installed; `make` builds this one.
BINARY      = $(or $(CARGO_TARGET_DIR),target)/release/entra-sync
# no: installs it unseen, such as one for another machine, or one with the demo in it.
CHECK       = yes

# As they lie here, so that their links lead somewhere.
DOCUMENTS   = README.md SECURITY.md Makefile $(wildcard docs/*.md) systemd/README.md \
	systemd/entra-sync.env.example deploy/sql/role.sql deploy/monitoring/prometheusrule.yaml
VERSION     = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
SETTINGS    = $(DESTDIR)$(CONFDIR)/entra-sync.env

.PHONY: all install uninstall

all:
	$(CARGO) build --release --locked

# Does not build: root need have no Rust.
install:
	@test -x '$(BINARY)' || { echo 'make: $(BINARY) is not there: run `make` first' >&2; exit 1; }
	@test '$(CHECK)' = no || test "$$('$(BINARY)' --version)" = 'entra-sync $(VERSION)' || { \
		echo 'make: $(BINARY) is not version $(VERSION): run `make` first, or say CHECK=no' >&2; exit 1; }
	@test '$(CHECK)' = no || for part in demo simulate; do \
		if '$(BINARY)' "$$part" --help >/dev/null 2>&1; then \
			echo "make: $(BINARY) has the $$part in it, which no service needs:" \
				'run `make` first, or say CHECK=no' >&2; exit 1; \
		fi; \
	done
	$(INSTALL) -d '$(DESTDIR)$(BINDIR)' '$(DESTDIR)$(DOCDIR)' '$(DESTDIR)$(UNITDIR)' \
		'$(DESTDIR)$(SYSUSERSDIR)' '$(DESTDIR)$(TMPFILESDIR)'
	$(INSTALL) -m 755 '$(BINARY)' '$(DESTDIR)$(BINDIR)/entra-sync'
	sed -e 's|/usr/local/bin/|$(BINDIR)/|g' systemd/entra-sync-ctl >'$(DESTDIR)$(BINDIR)/entra-sync-ctl'
	chmod 755 '$(DESTDIR)$(BINDIR)/entra-sync-ctl'
	sed -e 's|/usr/local/bin/|$(BINDIR)/|g' -e 's|/usr/local/share/doc/entra-sync/|$(DOCDIR)/|g' \
		systemd/entra-sync.service >'$(DESTDIR)$(UNITDIR)/entra-sync.service'
	chmod 644 '$(DESTDIR)$(UNITDIR)/entra-sync.service'
	$(INSTALL) -m 644 systemd/sysusers.d/entra-sync.conf '$(DESTDIR)$(SYSUSERSDIR)/entra-sync.conf'
	$(INSTALL) -m 644 systemd/tmpfiles.d/entra-sync.conf '$(DESTDIR)$(TMPFILESDIR)/entra-sync.conf'
	for document in $(DOCUMENTS); do \
		$(INSTALL) -D -m 644 "$$document" "$(DESTDIR)$(DOCDIR)/$$document" || exit; \
	done
	test -d '$(DESTDIR)$(CONFDIR)' || $(INSTALL) -d -m 750 '$(DESTDIR)$(CONFDIR)'
	@if [ -e '$(SETTINGS)' ]; then \
		echo 'kept as it is: $(SETTINGS)'; \
	else \
		set -x; $(INSTALL) -m 640 systemd/entra-sync.env.example '$(SETTINGS)'; \
	fi
	@test -n '$(DESTDIR)' || echo 'now: systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload'

uninstall:
	rm -f '$(DESTDIR)$(BINDIR)/entra-sync' '$(DESTDIR)$(BINDIR)/entra-sync-ctl' '$(DESTDIR)$(UNITDIR)/entra-sync.service' \
		'$(DESTDIR)$(SYSUSERSDIR)/entra-sync.conf' '$(DESTDIR)$(TMPFILESDIR)/entra-sync.conf'
	rm -rf '$(DESTDIR)$(DOCDIR)'
	@echo 'left: $(DESTDIR)$(CONFDIR) and the user entra-sync'
