# SPDX-License-Identifier: Apache-2.0
# bpf/*/*.bpf.c -> one linked object -> one skeleton. No BTF of the build machine is needed: bpf/lib/types.h
# declares the kernel's structures by hand, relocated at load (CO-RE).

# The maps' definition comes first: the linker of libbpf 1.1 loses the offset of a map that it meets as extern before.
# Two are objects of their own, over the maps of the others: the sk_lookup program, loaded once for each network namespace, and those
# of veths. They belong to no generation.
BPF_LOOKUP := bpf/intercept/lookup.bpf.c
BPF_VETH := bpf/intercept/veth.bpf.c
BPF_SRC := bpf/lib/maps.bpf.c $(filter-out bpf/lib/maps.bpf.c $(BPF_LOOKUP) $(BPF_VETH),$(sort $(wildcard bpf/*/*.bpf.c)))
BPF_OBJ := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
BPF_FLAGS := -target bpf -D__TARGET_ARCH_x86 -mcpu=v3 -O2 -g -std=gnu17 -Wall -Wextra -Werror \
	-Wno-unused-parameter -Wno-sign-compare -fno-stack-protector -ffile-prefix-map=$(CURDIR)=. -Iinclude -Ibpf \
	-idirafter /usr/include/$(shell $(CC) -print-multiarch)

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	@mkdir -p $(@D)
	@echo "  BPF     $@"
	@$(CLANG) $(BPF_FLAGS) -MMD -MP -c $< -o $@
	@$(STRIP) -g $@

$(BUILD)/bpf/tipstaff.bpf.o: $(BPF_OBJ)
	@echo "  BPF     $@"
	@$(BPFTOOL) gen object $@ $^

$(BUILD)/bpf/lookup.bpf.o: $(BPF_LOOKUP:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
	@echo "  BPF     $@"
	@$(BPFTOOL) gen object $@ $^

$(BUILD)/bpf/veth.bpf.o: $(BPF_VETH:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.o)
	@echo "  BPF     $@"
	@$(BPFTOOL) gen object $@ $^

$(BUILD)/gen/%.skel.h: $(BUILD)/bpf/%.bpf.o
	@mkdir -p $(@D)
	@echo "  SKEL    $@"
	@$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# Whoever waits for the first waits for all: see mk/user.mk.
$(BUILD)/gen/tipstaff.skel.h: $(BUILD)/gen/lookup.skel.h $(BUILD)/gen/veth.skel.h

-include $(BPF_OBJ:.o=.d) $(BPF_LOOKUP:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.d) \
	$(BPF_VETH:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.d)
