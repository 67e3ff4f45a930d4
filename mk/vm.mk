# SPDX-License-Identifier: Apache-2.0
# What runs under stock Debian kernels, emulated by tools/vm: docs/vm.md.

KERNEL ?= 6.1
VM_TESTS ?= tests/integration
VM_SECONDS ?= 4500
# What the record of a run and its log are called.
VM_NAME = vm-test-$(KERNEL)

# `make test` takes one of these by the commit. By the last digit of its name, because a shallow clone cannot count commits;
# sudo's root may read the clone of another.
VM_TURN := $(shell case $$(git -c safe.directory='*' rev-parse HEAD 2>/dev/null) in \
	(*[13579bdf]) echo vm-7 vm-service ;; (*) echo vm-6.1 vm-tools ;; esac)

.PHONY: bench-vm demo-vm vm-needs vm-service vm-test vm-tools vm-6.1 vm-6.12 vm-7
# Built before anything else in `make test`: two runs of make must not build the same at once.
vm-needs: all man attacks next $(filter $(BUILD)/unit/mtls/%,$(UNIT_BIN))
vm-test: ## smoke and integration tests under a stock Debian kernel, emulated: KERNEL=6.1, 6.12 or 7 (root)
	@BUILD=$(BUILD) tools/install-deps test
	@+$(MAKE) --no-print-directory $(PARALLEL) vm-needs
	@mkdir -p $(BUILD)/test
	@set -o pipefail; tools/vm run --kernel $(KERNEL) --mem 3000 --timeout $(VM_SECONDS) --keep $(BUILD)/test/ran-$(VM_NAME).json -- \
		env BUILD=$(BUILD) tests/vm/run --ran $(BUILD)/test/ran-$(VM_NAME).json $(PYTEST) $(VM_TESTS) 2>&1 \
		| tee $(BUILD)/test/$(VM_NAME).log; status=$$?; $(GIVE_BACK); exit $$status

vm-tools: all ## tools/vm itself, and the daemon on kernels that lack something (root)
	@BUILD=$(BUILD) tools/install-deps vm
	@$(RUN_PYTEST) --ran $(BUILD)/test/ran-$@.json tests/vm

# What `make test` has time for. Chosen by marks, and not by what this machine lacks: a commit has the same tests everywhere.
vm-6.12: ## what needs more than every kernel has, and what the kernel decides, under Linux 6.12 (root)
	@+$(MAKE) --no-print-directory vm-test KERNEL=6.12 PYTEST="-m 'needs or kernel'" \
		VM_TESTS='tests/integration tests/interop/test_openssl.py tests/interop/test_envoy.py'
vm-6.1 vm-7: vm-%: ## a smaller part under Linux 6.1 or 7 (root)
	@+$(MAKE) --no-print-directory vm-test KERNEL=$* PYTEST="-m 'kernel(each=True)'"

vm-service: all man ## the installed service under systemd and Linux 6.12 (root)
	@BUILD=$(BUILD) tools/install-deps vm
	@tools/vm run --systemd --kernel 6.12 --mem 2500 --timeout 900 -- env BUILD=$(BUILD) tests/vm/service

demo-vm: ## the demo under Linux 6.12, where the kernel denies and encrypts (root)
	@BUILD=$(BUILD) tools/install-deps vm
	@+$(MAKE) --no-print-directory $(PARALLEL) all
	@tools/vm run --kernel 6.12 --mem 3000 --timeout 1200 -- env BUILD=$(BUILD) tools/demo --best; \
		status=$$?; $(GIVE_BACK); exit $$status

bench-vm: ## instructions and system calls, counted under Linux 6.12 (root): KERNEL=6.1, 6.12 or 7
	@BUILD=$(BUILD) tools/install-deps vm
	@+$(MAKE) --no-print-directory $(PARALLEL) all attacks $(BUILD)/bench/count $(BUILD)/bench/empty
	@tools/vm run --kernel $(if $(filter command line,$(origin KERNEL)),$(KERNEL),6.12) --icount --mem 2048 --timeout 1800 -- \
		env BUILD=$(BUILD) tools/bench-vm $(BENCH); status=$$?; $(GIVE_BACK); exit $$status
