/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_CREATED_H
#define TIP_CONTAINER_CREATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Containers that a runtime has told of and nobody has asked about yet: what is known of each.
 * Bounded in number, bytes and time; the oldest goes first.
 */
#define TIP_CREATED_MAX   256
#define TIP_CREATED_BYTES (1u << 20)
#define TIP_CREATED_NS    (600ULL * 1000 * 1000 * 1000)

struct tip_created_box {
	const char *facts;
	size_t len;
	bool whole; /* the runtime's full answer, not only what its event said */
};

struct tip_created;
struct tip_created *tip_created_new(void);
void tip_created_free(struct tip_created *c); /* NULL is fine */
/* Copies `facts`. What is whole is replaced by nothing that is not. */
void tip_created_put(struct tip_created *c, const char *id, const struct tip_buf *facts, bool whole,
		     uint64_t now_ns);
/* False: it is not known. What `out` points to is valid until the table changes. */
bool tip_created_get(struct tip_created *c, const char *id, uint64_t now_ns,
		     struct tip_created_box *out);
void tip_created_del(struct tip_created *c, const char *id);
size_t tip_created_count(const struct tip_created *c);

#endif
