# SPDX-License-Identifier: Apache-2.0
# userspace/ROOM/*.c -> one archive a room, built twice: plain (obj) and with sanitizers (san).

define ROOM_RULES
SRC_$(1) := $$(sort $$(wildcard userspace/$(1)/*.c))
$(BUILD)/obj/$(1).a: $$(SRC_$(1):userspace/%.c=$(BUILD)/obj/%.o)
$(BUILD)/san/$(1).a: $$(SRC_$(1):userspace/%.c=$(BUILD)/san/%.o)
endef
$(foreach r,$(LIBROOMS) $(MAINS),$(eval $(call ROOM_RULES,$(r))))

# Generated protobuf code is one more archive.
$(BUILD)/obj/proto.a: $(PROTO_C:$(BUILD)/gen/%.c=$(BUILD)/obj/gen/%.o)
$(BUILD)/san/proto.a: $(PROTO_C:$(BUILD)/gen/%.c=$(BUILD)/san/gen/%.o)

$(BUILD)/obj/%.o: userspace/%.c | $(PROTO_H) $(BUILD)/gen/tipstaff.skel.h
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(BUILD)/san/%.o: userspace/%.c | $(PROTO_H) $(BUILD)/gen/tipstaff.skel.h
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(SAN) -MMD -MP -c $< -o $@
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c $< -o $@
$(BUILD)/san/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) $(CPPFLAGS) $(CFLAGS_ALL) $(SAN) -c $< -o $@

%.a:
	@mkdir -p $(@D); rm -f $@
	@ar rcs $@ $^

# The archives that a room or a main links: itself and all that it may include from.
archives = $(foreach r,$(2) $(DEPS_$(2)),$(BUILD)/$(1)/$(r).a) $(BUILD)/$(1)/proto.a

$(BUILD)/tipstaffd: $(call archives,obj,tipstaffd)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LIBS)
$(BUILD)/tipstaff: $(call archives,obj,tipstaff)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LIBS)

# tools/attack: a file of acts/ is one act. It talks to the Workload API as the attackers of the tests do.
ATTACK_TOOL_SRC := $(sort $(wildcard tools/attack/*.c tools/attack/acts/*.c)) tests/attacks/attack.c
$(BUILD)/obj/attack/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC      $@"
	@$(CC) -D_GNU_SOURCE $(CFLAGS_ALL) -MMD -MP -c $< -o $@
$(BUILD)/attack: $(ATTACK_TOOL_SRC:%.c=$(BUILD)/obj/attack/%.o)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS_ALL) $(LDFLAGS_ALL) -o $@ $^
-include $(ATTACK_TOOL_SRC:%.c=$(BUILD)/obj/attack/%.d)

# `make room-detect`: only that room.
.PHONY: $(LIBROOMS:%=room-%)
$(LIBROOMS:%=room-%): room-%: $(BUILD)/obj/%.a

-include $(wildcard $(BUILD)/obj/*/*.d $(BUILD)/san/*/*.d)
