# SPDX-License-Identifier: Apache-2.0
# What runs under stock Debian kernels, emulated by tools/vm: docs/vm.md.

KERNEL ?= 6.1

.PHONY: vm-test
vm-test: ## the daemon under a stock Debian kernel, emulated: KERNEL=6.1, 6.12 or 7 (root)
	@BUILD=$(BUILD) tools/install-deps vm
	@+$(MAKE) --no-print-directory $(PARALLEL) all
	@BUILD=$(BUILD) tools/vm run --kernel $(KERNEL) --timeout 300 -- env BUILD=$(BUILD) tests/vm/smoke; \
		status=$$?; $(GIVE_BACK); exit $$status
