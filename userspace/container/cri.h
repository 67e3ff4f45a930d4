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
struct tip_cri_runtime {
	char name[32]; /* as container.type has it */
	/*
	 * Everybody who listens to it is told every event. Those before took an event for told when
	 * one listener had it (containerd before 2.0: issue 7318; cri-o before 1.28: issue 6466);
	 * there the kubelet would miss what we hear.
	 */
	bool shares_events;
};
int tip_cri_version(const uint8_t *msg, size_t len, struct tip_cri_runtime *out,
		    struct tip_error *err);
/*
 * One event: adds what it says of the container, or sandbox, that was made or started, whose id
 * goes into `id`. 0: it is about something else, 1, or -1 with `err` and nothing added.
 */
int tip_cri_event(const uint8_t *msg, size_t len, char id[65], struct tip_buf *facts,
		  struct tip_error *err);

#endif
