/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_RUNTIME_REQUEST_H
#define TIP_TIPSTAFFD_RUNTIME_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "tipstaff/facts.h"

/*
 * The questions that runtimes may be asked, written whole by the keeper. Whoever may write to a
 * runtime's socket is root of the node; so the front says what it wants to know, and reads.
 */

/* Adds the request to `out`. False: there is no such question, or `name` is not what it is about.
 */
bool tip_runtime_request(enum tip_runtime kind, uint32_t question, const char *name,
			 struct tip_buf *out);
/* Is its answer one that goes on for as long as the runtime runs? */
bool tip_runtime_endless(uint32_t question);

#endif
