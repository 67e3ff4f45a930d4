# SPDX-License-Identifier: Apache-2.0
#
# Everything is built below build/. `make help` lists the goals.

SHELL := /bin/bash
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

BUILD  ?= build
CC     ?= gcc
ifeq ($(origin CC),default)
CC := gcc
endif
LLVM   ?= 19
CLANG  ?= clang-$(LLVM)
STRIP  ?= llvm-strip-$(LLVM)
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)

PKGS := libbpf openssl libnghttp2 libevent_core jansson yaml-0.1 libpcre2-8 libcap libseccomp libprotobuf-c libnetfilter_queue libmnl \
	tss2-esys tss2-tctildr tss2-mu tss2-rc

WARN := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wwrite-strings -Wvla -Wno-unused-parameter -Wno-missing-field-initializers
CPPFLAGS := -D_GNU_SOURCE -DOPENSSL_API_COMPAT=30000 -Iinclude -Iuserspace -I$(BUILD)/gen
CFLAGS ?= -O2 -g
# The same commit gives the same bytes wherever it is built: `make reproducible`.
SAME := -ffile-prefix-map=$(CURDIR)=. -ffile-prefix-map=$(BUILD)=build
CFLAGS_ALL := -std=gnu17 $(WARN) $(SAME) -fstack-protector-strong -fPIE -fno-strict-aliasing \
	-fvisibility=hidden -D_FORTIFY_SOURCE=2 $(CFLAGS)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(LDFLAGS)
SAN := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer \
	-U_FORTIFY_SOURCE
LIBS = $(shell pkg-config --libs $(PKGS)) -lelf -lz -lpthread

# ---- the house: each room and the rooms that it may include from -----------------
# tools/check-house reads the same table; K and F rooms meet in link/ only.

ROOMS_SHARED := base policy rpc link traffic
ROOMS_KEEPER := digest sensor process detect alert guard intercept control seal
ROOMS_FRONT  := identity spiffe mtls tls container telemetry
MAINS        := tipstaffd tipstaff

DEPS_base     :=
DEPS_policy   := base
DEPS_rpc      := base
DEPS_link     := base
DEPS_digest   := base
DEPS_sensor   := base
DEPS_process  := base sensor
DEPS_detect   := base sensor process
DEPS_alert    := base sensor process detect
DEPS_guard    := base policy sensor process detect
DEPS_intercept := base
DEPS_control  := base
DEPS_seal     := base
DEPS_identity := base policy
DEPS_spiffe   := base policy rpc identity
DEPS_mtls     := base policy
DEPS_tls      := base policy mtls
DEPS_container := base policy rpc mtls tls
DEPS_telemetry := base policy rpc mtls tls
DEPS_traffic  := base policy
DEPS_tipstaffd := $(ROOMS_SHARED) $(ROOMS_KEEPER) $(ROOMS_FRONT)
DEPS_tipstaff := base policy rpc traffic sensor process detect intercept control

LIBROOMS := $(ROOMS_SHARED) $(ROOMS_KEEPER) $(ROOMS_FRONT)

.PHONY: all attack
all: $(BUILD)/tipstaffd $(BUILD)/tipstaff $(BUILD)/attack
attack: $(BUILD)/attack ## the attack generator: acts out what the shipped rules are about

include mk/bpf.mk
include mk/proto.mk
include mk/user.mk
include mk/test.mk
include mk/vm.mk
include mk/install.mk

.PHONY: help
help: ## this list
	@grep -hE '^[a-z][a-z-]*:.*## ' Makefile mk/*.mk | sed -E 's/^([a-z-]+):.*## /\1\t/' | sort | \
		while IFS=$$'\t' read -r goal text; do printf '  %-14s %s\n' "$$goal" "$$text"; done

.PHONY: clean
clean: ## remove build/
	rm -rf $(BUILD)
