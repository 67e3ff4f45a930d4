/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/value.h"

static const char *const type_names[TIP_T_MAX] = {
	[TIP_T_STRING] = "CHARBUF",  [TIP_T_PATH] = "FSPATH",     [TIP_T_INT] = "INT64",
	[TIP_T_UINT] = "UINT64",     [TIP_T_PORT] = "PORT",       [TIP_T_BOOL] = "BOOL",
	[TIP_T_RELTIME] = "RELTIME", [TIP_T_ABSTIME] = "ABSTIME", [TIP_T_DOUBLE] = "DOUBLE",
	[TIP_T_IPADDR] = "IPADDR",   [TIP_T_IPNET] = "IPNET",     [TIP_T_BYTES] = "BYTEBUF",
};

static const char *const op_names[TIP_OP_MAX] = {
	[TIP_OP_EXISTS] = "exists",
	[TIP_OP_EQ] = "=",
	[TIP_OP_NE] = "!=",
	[TIP_OP_LT] = "<",
	[TIP_OP_LE] = "<=",
	[TIP_OP_GT] = ">",
	[TIP_OP_GE] = ">=",
	[TIP_OP_CONTAINS] = "contains",
	[TIP_OP_ICONTAINS] = "icontains",
	[TIP_OP_STARTSWITH] = "startswith",
	[TIP_OP_ENDSWITH] = "endswith",
	[TIP_OP_GLOB] = "glob",
	[TIP_OP_IGLOB] = "iglob",
	[TIP_OP_REGEX] = "regex",
	[TIP_OP_BCONTAINS] = "bcontains",
	[TIP_OP_BSTARTSWITH] = "bstartswith",
	[TIP_OP_IN] = "in",
	[TIP_OP_INTERSECTS] = "intersects",
	[TIP_OP_PMATCH] = "pmatch",
};

const char *tip_type_name(enum tip_type t)
{
	return type_names[t];
}

const char *tip_op_name(enum tip_op op)
{
	return op_names[op];
}

#define BIT(op)  (1u << (op))
#define COMMON   (BIT(TIP_OP_EXISTS) | BIT(TIP_OP_IN) | BIT(TIP_OP_INTERSECTS))
#define EQUALITY (COMMON | BIT(TIP_OP_EQ) | BIT(TIP_OP_NE))
#define ORDER    (BIT(TIP_OP_LT) | BIT(TIP_OP_LE) | BIT(TIP_OP_GT) | BIT(TIP_OP_GE))
#define TEXT                                                                                       \
	(BIT(TIP_OP_CONTAINS) | BIT(TIP_OP_ICONTAINS) | BIT(TIP_OP_STARTSWITH) |                   \
	 BIT(TIP_OP_ENDSWITH) | BIT(TIP_OP_GLOB) | BIT(TIP_OP_IGLOB) | BIT(TIP_OP_REGEX) |         \
	 BIT(TIP_OP_PMATCH))
#define BYTES                                                                                      \
	(BIT(TIP_OP_CONTAINS) | BIT(TIP_OP_STARTSWITH) | BIT(TIP_OP_ENDSWITH) |                    \
	 BIT(TIP_OP_BCONTAINS) | BIT(TIP_OP_BSTARTSWITH))

bool tip_op_fits(enum tip_op op, enum tip_type type)
{
	static const unsigned int fits[TIP_T_MAX] = {
		[TIP_T_STRING] = EQUALITY | ORDER | TEXT,
		[TIP_T_PATH] = EQUALITY | ORDER | TEXT,
		[TIP_T_INT] = EQUALITY | ORDER,
		[TIP_T_UINT] = EQUALITY | ORDER,
		[TIP_T_PORT] = EQUALITY | ORDER,
		[TIP_T_BOOL] = EQUALITY,
		[TIP_T_RELTIME] = EQUALITY | ORDER,
		[TIP_T_ABSTIME] = EQUALITY | ORDER,
		[TIP_T_DOUBLE] = EQUALITY | ORDER,
		[TIP_T_IPADDR] = EQUALITY,
		[TIP_T_IPNET] = EQUALITY,
		[TIP_T_BYTES] = EQUALITY | BYTES,
	};

	return fits[type] & BIT(op);
}
