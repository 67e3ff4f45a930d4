# SPDX-License-Identifier: Apache-2.0
# proto/NAME.proto -> build/gen/proto/NAME.pb-c.{h,c}

PROTO := $(sort $(wildcard proto/*.proto))
PROTO_C := $(PROTO:proto/%.proto=$(BUILD)/gen/proto/%.pb-c.c)
PROTO_H := $(PROTO_C:.c=.h)

$(BUILD)/gen/proto/%.pb-c.c $(BUILD)/gen/proto/%.pb-c.h &: proto/%.proto
	@mkdir -p $(@D)
	@echo "  PROTO   $@"
	@protoc-c --proto_path=proto --c_out=$(@D) $<

# They are made by a chain of rules; without this make removes what it takes for a passing stage.
.SECONDARY: $(PROTO_C) $(PROTO_H)
