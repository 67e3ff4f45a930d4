# SPDX-License-Identifier: Apache-2.0
# tests/unit/ROOM/test_X.c -> build/unit/ROOM/test_X, linked with that room and what it may include from, under ASan + UBSan.

UNIT_SRC := $(sort $(wildcard tests/unit/*/test_*.c))
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/unit/%)
unit_room = $(word 1,$(subst /, ,$(patsubst tests/unit/%,%,$(1))))

# Rooms that a room must not include, and that its tests hold it against.
UNIT_DEPS_guard := traffic
unit_deps = $(UNIT_DEPS_$(call unit_room,$(1)):%=$(BUILD)/san/%.a)

define UNIT_RULE
$(1:tests/unit/%.c=$(BUILD)/unit/%): $(1) $(call archives,san,$(call unit_room,$(1))) $(call unit_deps,$(1))
	@mkdir -p $$(@D)
	@echo "  CC      $$@"
	@$$(CC) $$(CPPFLAGS) $$(CFLAGS_ALL) $$(SAN) -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LIBS) -lcmocka
endef
$(foreach t,$(UNIT_SRC),$(eval $(call UNIT_RULE,$(t))))

# `make unit-detect`: build and run one room's tests.
.PHONY: unit $(LIBROOMS:%=unit-%)
$(LIBROOMS:%=unit-%): unit-%:
	@$(MAKE) --no-print-directory $(filter $(BUILD)/unit/$*/%,$(UNIT_BIN))
	@set -e; for t in $(filter $(BUILD)/unit/$*/%,$(UNIT_BIN)); do echo "== $$t"; $$t; done

unit: $(UNIT_BIN) ## unit tests (cmocka, ASan + UBSan)
	@tools/run-unit $(UNIT_BIN)

# tests/fuzz/ROOM/fuzz_X.c -> libFuzzer targets; seeds in tests/fuzz/ROOM/X/
FUZZ_SRC := $(sort $(wildcard tests/fuzz/*/fuzz_*.c))
FUZZ_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzz/%)
FUZZ_SECONDS ?= 60
FUZZ_FLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
fuzz_room = $(word 1,$(subst /, ,$(patsubst tests/fuzz/%,%,$(1))))

$(BUILD)/fuzzobj/%.o: userspace/%.c | $(PROTO_H) $(BUILD)/gen/tipstaff.skel.h
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CLANG) $(CPPFLAGS) -std=gnu17 $(FUZZ_FLAGS) -MMD -MP -c $< -o $@
$(BUILD)/fuzzobj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CLANG) $(CPPFLAGS) -std=gnu17 $(FUZZ_FLAGS) -c $< -o $@
$(foreach r,$(LIBROOMS) tipstaffd,$(eval $(BUILD)/fuzzobj/$(r).a: $(SRC_$(r):userspace/%.c=$(BUILD)/fuzzobj/%.o)))
$(BUILD)/fuzzobj/proto.a: $(PROTO_C:$(BUILD)/gen/%.c=$(BUILD)/fuzzobj/gen/%.o)

define FUZZ_RULE
$(1:tests/fuzz/%.c=$(BUILD)/fuzz/%): $(1) $(call archives,fuzzobj,$(call fuzz_room,$(1)))
	@mkdir -p $$(@D)
	@echo "  CC      $$@"
	@$$(CLANG) $$(CPPFLAGS) -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $$@ $$< \
		-Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group $$(LIBS)
endef
$(foreach t,$(FUZZ_SRC),$(eval $(call FUZZ_RULE,$(t))))
-include $(wildcard $(BUILD)/fuzzobj/*/*.d)

.PHONY: fuzz fuzz-seeds
fuzz: $(FUZZ_BIN) ## every fuzz target, FUZZ_SECONDS (60) each
	@BUILD=$(BUILD) tools/run-fuzz $(FUZZ_SECONDS) $(FUZZ_BIN)

fuzz-seeds: $(FUZZ_BIN) ## replay the seeds of the fuzz targets
	@BUILD=$(BUILD) tools/run-fuzz seeds $(FUZZ_BIN)

# tests/attacks/X.c -> build/attacks/X: static, so that nothing stands between an attack and the kernel.
ATTACK_SRC := $(filter-out tests/attacks/attack.c,$(sort $(wildcard tests/attacks/*.c)))
ATTACK_BIN := $(ATTACK_SRC:tests/attacks/%.c=$(BUILD)/attacks/%)
$(BUILD)/attacks/%: tests/attacks/%.c tests/attacks/attack.c tests/attacks/attack.h
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) -std=gnu17 -D_GNU_SOURCE $(WARN) -O2 -g -static -o $@ $< tests/attacks/attack.c -pthread

# tools/bench-X.c -> build/bench/X
BENCH_BIN := $(patsubst tools/bench-%.c,$(BUILD)/bench/%,$(sort $(wildcard tools/bench-*.c)))
$(BUILD)/bench/%: tools/bench-%.c tests/attacks/attack.c tests/attacks/attack.h
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) -std=gnu17 -D_GNU_SOURCE $(WARN) -O2 -g -static -o $@ $< tests/attacks/attack.c
# No worker but a room by itself.
$(BUILD)/bench/match: tools/bench-match.c tools/bench-match.h $(call archives,obj,detect)
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $< -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LIBS)

# Everything below runs the built daemon from outside. PYTEST='-k quarantine -x' chooses.
PYTHON_ENV := BUILD=$(BUILD) PYTHONPATH=tools PYTHONDONTWRITEBYTECODE=1
RUN_PYTEST = $(PYTHON_ENV) $(BUILD)/venv/bin/python -m pytest -c tests/pytest.ini --rootdir=tests $(PYTEST)

# Daemons of other layouts, for the tests of upgrades: only the sensor room knows its layout. `same` has another number and
# nothing else, `policy` other maps for policies, `all` nothing in common.
NEXT := same policy all
NEXT_same := -DTIP_ABI_VERSION=900
NEXT_policy := -DTIP_ABI_VERSION=901 -DTIP_ABI_POLICY=901
NEXT_all := -DTIP_ABI_VERSION=902 $(foreach g,PROCESSES POLICY SOCKETS EVENTS,-DTIP_ABI_$(g)=902)
NEXT_BIN := $(NEXT:%=$(BUILD)/next/%/tipstaffd)
next_sensor = $(SRC_sensor:userspace/sensor/%.c=$(BUILD)/next/$(1)/%.o)
define NEXT_RULES
$(BUILD)/next/$(1)/%.o: userspace/sensor/%.c $(BUILD)/tipstaffd
	@mkdir -p $$(@D)
	@$$(CC) $$(CPPFLAGS) $$(CFLAGS_ALL) $$(NEXT_$(1)) -c $$< -o $$@
$(BUILD)/next/$(1)/tipstaffd: $(call next_sensor,$(1)) $(filter-out %/sensor.a,$(call archives,obj,tipstaffd))
	@echo "  LINK    $$@"
	@$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS_ALL) -o $$@ -Wl,--start-group $$^ -Wl,--end-group $$(LIBS)
	@ln -sfn ../../tipstaff $$(@D)/tipstaff
endef
$(foreach n,$(NEXT),$(eval $(call NEXT_RULES,$(n))))

.PHONY: integration interop attacks next
attacks: $(ATTACK_BIN)
next: $(NEXT_BIN)
integration: all attacks next ## integration tests (pytest, root) against the built daemon
	@$(RUN_PYTEST) --ran $(BUILD)/test/ran-$@.json tests/integration
interop: all attacks ## interop tests (pytest, root): py-spiffe, grpcio, openssl, Envoy
	@$(RUN_PYTEST) --ran $(BUILD)/test/ran-$@.json tests/interop

.PHONY: lint
lint: $(PROTO_H) $(BUILD)/gen/tipstaff.skel.h ## format, clang-tidy, cppcheck, shellcheck, padding, the house
	@BUILD=$(BUILD) LLVM=$(LLVM) LINT_CPPFLAGS='$(CPPFLAGS)' \
		LINT_MULTIARCH=$(shell $(CC) -print-multiarch) tools/lint $(CHECKS)

# A run under sudo leaves build/ to the one who called sudo: a later build needs no root.
GIVE_BACK = if [ -n "$${SUDO_UID:-}" ] && [ "$$(id -u)" = 0 ]; then \
	chown -R "$$SUDO_UID:$${SUDO_GID:-$$SUDO_UID}" $(BUILD); fi
# With nothing said, use every processor.
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.PHONY: deps test check-skips demo bench
deps: ## install what the build needs (Debian 12)
	@tools/install-deps build
test: ## install what is missing; lint, unit, fuzz seeds, integration, interop; Linux 6.12 and another in VMs (root)
	@BUILD=$(BUILD) tools/install-deps test
	@MAKE='$(MAKE) $(PARALLEL)' BUILD=$(BUILD) tools/run-tests vm-needs -- lint unit fuzz-seeds integration interop \
		$(VM_TURN) -- vm-6.12 -- check-skips; status=$$?; $(GIVE_BACK); exit $$status
check-skips: ## fail if a test was skipped in each of the runs since the last `make test` began
	@tools/check-skips $(BUILD)/test/ran-*.json
demo: ## install what is missing, build, and act out fourteen scenes (root)
	@BUILD=$(BUILD) tools/install-deps demo
	@+$(MAKE) --no-print-directory $(PARALLEL) all
	@$(PYTHON_ENV) tools/demo; status=$$?; $(GIVE_BACK); exit $$status
bench: all ## measure the cost, with and without the daemon (root)
	@BUILD=$(BUILD) tools/install-deps demo
	@+$(MAKE) --no-print-directory $(BENCH_BIN) $(BUILD)/attacks/ask
	@$(PYTHON_ENV) tools/bench $(BENCH); status=$$?; $(GIVE_BACK); exit $$status
