/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFF_WORKLOAD_H
#define TIP_TIPSTAFF_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tipstaff/tipstaff.h"

/* An ordinary client of the SPIFFE Workload API, for the commands of `svid`. */

struct workload_call {
	const char *method; /* "FetchX509SVID" */
	const void *request;
	size_t request_len;
	int timeout_ms; /* 0 or less: none */
	/* For each message; false ends the call, which counts as success. */
	bool (*message)(void *ctx, const uint8_t *msg, size_t len);
	void *ctx;
};

/* Exit code; what went wrong is printed. */
int workload_call(const struct workload_call *call);

/* The value of --timeout (5 s) into `*ms`. 0, or CLI_USAGE after saying what is wrong. */
int workload_timeout(const struct cli_args *args, int *ms);

#endif
