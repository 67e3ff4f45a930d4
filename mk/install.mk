# SPDX-License-Identifier: Apache-2.0
# make install DESTDIR=/tmp/root PREFIX=/usr sysconfdir=/etc

DESTDIR     ?=
PREFIX      ?= /usr/local
bindir      ?= $(PREFIX)/bin
sbindir     ?= $(PREFIX)/sbin
datadir     ?= $(PREFIX)/share
mandir      ?= $(datadir)/man
sysconfdir  ?= /etc
unitdir     ?= $(PREFIX)/lib/systemd/system
sysusersdir ?= $(PREFIX)/lib/sysusers.d
tmpfilesdir ?= $(PREFIX)/lib/tmpfiles.d
modulesdir  ?= $(PREFIX)/lib/modules-load.d
INSTALL     ?= install
LOWDOWN     ?= lowdown

# The files of packaging/ and the manuals name the paths of a distribution's package; these are the ones of this installation.
INSTALL_PATHS := sed -e 's|/usr/share/tipstaff|$(datadir)/tipstaff|g' -e 's|/usr/sbin/tipstaffd|$(sbindir)/tipstaffd|g' \
	-e 's|/etc/tipstaff|$(sysconfdir)/tipstaff|g'
# Two manuals of section 5 are the pages of docs/ themselves: what is written once is not wrong in one of two places.
MAN_MADE  := $(BUILD)/man/tipstaff-rules.5 $(BUILD)/man/tipstaff-traffic.5
MAN_PAGES := $(wildcard docs/man/*.[158]) $(MAN_MADE)
RULE_FILES = $(wildcard rules/*.yaml)

$(BUILD)/man/tipstaff-%.5: docs/%.md
	@mkdir -p $(@D)
	@echo "  MAN     $@"
	@{ sed -n 's/^# \(.*\)/# NAME\n\ntipstaff-$* - \1\n/p' $<; sed -e '/^<!-- SPDX/d' -e 's/^# .*/# DESCRIPTION/' $<; } | \
		$(LOWDOWN) -s -Tman -mtitle=tipstaff-$* -msection=5 -msource=Tipstaff -mdate= -o $@

.PHONY: install man
man: $(MAN_MADE)
install: all man ## install below DESTDIR and PREFIX (/usr/local)
	$(INSTALL) -d $(addprefix $(DESTDIR),$(bindir) $(sbindir) $(unitdir) $(sysusersdir) $(tmpfilesdir) $(modulesdir) \
		$(datadir)/tipstaff/rules $(datadir)/bash-completion/completions $(datadir)/zsh/site-functions \
		$(mandir)/man1 $(mandir)/man5 $(mandir)/man8)
	$(INSTALL) -d -m 0750 $(DESTDIR)$(sysconfdir)/tipstaff
	$(INSTALL) -d -m 0750 $(DESTDIR)$(sysconfdir)/tipstaff/entries
	$(INSTALL) -m 0755 $(BUILD)/tipstaff $(DESTDIR)$(bindir)/tipstaff
	$(INSTALL) -m 0755 $(BUILD)/attack $(DESTDIR)$(bindir)/tipstaff-attack
	$(INSTALL) -m 0755 $(BUILD)/tipstaffd $(DESTDIR)$(sbindir)/tipstaffd
	$(if $(RULE_FILES),$(INSTALL) -m 0644 $(RULE_FILES) $(DESTDIR)$(datadir)/tipstaff/rules/)
	@# A configuration that somebody has edited is never replaced.
	$(INSTALL_PATHS) packaging/tipstaff.yaml > $(DESTDIR)$(sysconfdir)/tipstaff/tipstaff.yaml.new
	cd $(DESTDIR)$(sysconfdir)/tipstaff && chmod 0640 tipstaff.yaml.new && \
		if [ -e tipstaff.yaml ]; then cmp -s tipstaff.yaml tipstaff.yaml.new && rm tipstaff.yaml.new || \
		echo "kept $(sysconfdir)/tipstaff/tipstaff.yaml; the shipped one is beside it as tipstaff.yaml.new"; \
		else mv tipstaff.yaml.new tipstaff.yaml; fi
	$(INSTALL_PATHS) packaging/tipstaffd.service > $(DESTDIR)$(unitdir)/tipstaffd.service
	$(INSTALL) -m 0644 packaging/tipstaff.sysusers.conf $(DESTDIR)$(sysusersdir)/tipstaff.conf
	$(INSTALL) -m 0644 packaging/tipstaff.tmpfiles.conf $(DESTDIR)$(tmpfilesdir)/tipstaff.conf
	$(INSTALL) -m 0644 packaging/tipstaff.modules.conf $(DESTDIR)$(modulesdir)/tipstaff.conf
	for page in $(MAN_PAGES); do section=$${page##*.}; \
		$(INSTALL_PATHS) $$page > $(DESTDIR)$(mandir)/man$$section/$${page##*/}; done
	$(BUILD)/tipstaff completion bash > $(DESTDIR)$(datadir)/bash-completion/completions/tipstaff
	$(BUILD)/tipstaff completion zsh > $(DESTDIR)$(datadir)/zsh/site-functions/_tipstaff
	chmod 0644 $(DESTDIR)$(unitdir)/tipstaffd.service $(DESTDIR)$(mandir)/man[158]/tipstaff* \
		$(DESTDIR)$(datadir)/bash-completion/completions/tipstaff $(DESTDIR)$(datadir)/zsh/site-functions/_tipstaff

.PHONY: uninstall
uninstall: ## remove what install put there; configuration and state stay
	rm -f $(addprefix $(DESTDIR),$(bindir)/tipstaff $(bindir)/tipstaff-attack $(sbindir)/tipstaffd $(unitdir)/tipstaffd.service \
		$(sysusersdir)/tipstaff.conf $(tmpfilesdir)/tipstaff.conf $(modulesdir)/tipstaff.conf \
		$(datadir)/bash-completion/completions/tipstaff $(datadir)/zsh/site-functions/_tipstaff \
		$(foreach p,$(MAN_PAGES),$(mandir)/man$(subst .,,$(suffix $(p)))/$(notdir $(p))))
	rm -rf $(DESTDIR)$(datadir)/tipstaff

.PHONY: reproducible deb
reproducible: ## build the commit twice, in different folders, and compare byte by byte
	@tools/reproducible
deb: ## the Debian package, held against lintian: build/deb
	@BUILD=$(BUILD) tools/install-deps deb
	@BUILD=$(BUILD) tools/build-deb

.PHONY: run
run: ## install what is missing, build, run on this node with the shipped configuration (root)
	@BUILD=$(BUILD) tools/install-deps build
	@+$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) tools/run-node

# The page of the fields is what `tipstaff rules fields` says of them; tests hold one against the other.
.PHONY: fields-doc
fields-doc: all ## write docs/fields.md anew, after a change of the fields
	@$(BUILD)/tipstaff rules fields --markdown > docs/fields.md
