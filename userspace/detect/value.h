/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_VALUE_H
#define TIP_DETECT_VALUE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Types of fields, named as Falco names them. */
enum tip_type {
	TIP_T_STRING, /* CHARBUF */
	TIP_T_PATH,   /* FSPATH: a string */
	TIP_T_INT,    /* INT64 */
	TIP_T_UINT,   /* UINT64 */
	TIP_T_PORT,   /* PORT: also takes service names */
	TIP_T_BOOL,
	TIP_T_RELTIME, /* a duration, ns */
	TIP_T_ABSTIME, /* ns since the epoch */
	TIP_T_DOUBLE,
	TIP_T_IPADDR,
	TIP_T_IPNET,
	TIP_T_BYTES, /* BYTEBUF */
	TIP_T_MAX
};
const char *tip_type_name(enum tip_type t);

struct tip_ip {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t bits;   /* networks: length of the prefix */
	uint8_t addr[16];
};

/*
 * The value of a field for one event. Multi-valued fields (`proc.aname` without index, `fd.ip`)
 * have `items`; a test then looks at each.
 */
struct tip_value {
	bool set;
	uint32_t count; /* number of items, 0: single-valued */
	const struct tip_value *items;
	union {
		struct {
			const char *s; /* NUL-terminated, `len` without it */
			size_t len;
		} str;
		int64_t i; /* INT, UINT, PORT, BOOL, times */
		double d;
		struct tip_ip ip;
	};
};

enum tip_op {
	TIP_OP_EXISTS,
	TIP_OP_EQ,
	TIP_OP_NE,
	TIP_OP_LT,
	TIP_OP_LE,
	TIP_OP_GT,
	TIP_OP_GE,
	TIP_OP_CONTAINS,
	TIP_OP_ICONTAINS,
	TIP_OP_STARTSWITH,
	TIP_OP_ENDSWITH,
	TIP_OP_GLOB,
	TIP_OP_IGLOB,
	TIP_OP_REGEX,
	TIP_OP_BCONTAINS,
	TIP_OP_BSTARTSWITH,
	TIP_OP_IN,
	TIP_OP_INTERSECTS,
	TIP_OP_PMATCH,
	TIP_OP_MAX
};
const char *tip_op_name(enum tip_op op);
/* False when the language has no such operator for the type (a load error). */
bool tip_op_fits(enum tip_op op, enum tip_type type);

/* How many elements of a list must match (`startswith oneof (...)`). */
enum tip_modifier { TIP_MOD_ANY, TIP_MOD_ALL, TIP_MOD_ONE };

#endif
