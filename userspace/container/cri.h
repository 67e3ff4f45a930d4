/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_CRI_H
#define TIP_CONTAINER_CRI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * The Container Runtime Interface (kubernetes, cri-api, runtime.v1), as containerd and cri-o serve
 * it: facts from the answers. A container's status does not say which pod it is in,
 * the list of containers does. A pod's sandbox has a container of its own with the pod's id, which
 * is in no list.
 */

struct tip_cri_seen {
	char sandbox[65]; /* id of the pod's sandbox, "": not known */
	char name[256];   /* of the container in its pod */
	bool settled;     /* it has been started */
};

/*
 * Answers. 0, or -1 with `err` when it is not one to that question; then nothing is added. Pure.
 */
/* `seen->sandbox` of container `id`; it stays "" when the runtime does not list it. */
int tip_cri_list(const uint8_t *msg, size_t len, const char *id, struct tip_cri_seen *seen,
		 struct tip_error *err);
int tip_cri_status(const uint8_t *msg, size_t len, const char *id, struct tip_buf *facts,
		   struct tip_cri_seen *seen, struct tip_error *err);
/* `own`: the container is the sandbox's own, and gets its facts from here. */
int tip_cri_sandbox(const uint8_t *msg, size_t len, const char *id, bool own, struct tip_buf *facts,
		    struct tip_cri_seen *seen, struct tip_error *err);
/* The runtime's name, as container.type has it: into `name`. */
int tip_cri_version(const uint8_t *msg, size_t len, char *name, size_t size, struct tip_error *err);

#endif
