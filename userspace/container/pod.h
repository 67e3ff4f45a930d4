/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_POD_H
#define TIP_CONTAINER_POD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * What a pod says of its containers, as the kubelet lists it (Kubernetes' API, core/v1, "Pod"):
 * ordinary, init and ephemeral ones, and each one's predecessor.
 */
struct tip_pod_ops {
	bool (*wanted)(void *ctx, const char *id); /* somebody has asked about container `id` */
	/* Facts about one that is wanted. `settled`: it has been started, and has an address. */
	void (*found)(void *ctx, const char *id, const struct tip_buf *facts, bool settled);
	void *ctx;
};

/*
 * Reads one pod in JSON. 0; or -1 with `err` when it is none, and nothing was found. One that
 * mentions no container that is wanted is not parsed.
 */
int tip_pod_read(const char *text, size_t len, const struct tip_pod_ops *ops,
		 struct tip_error *err);

#endif
