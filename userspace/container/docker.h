/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_CONTAINER_DOCKER_H
#define TIP_CONTAINER_DOCKER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/error.h"

/*
 * What Docker's API says of a container and of an image (docs.docker.com/reference/api/engine,
 * "Inspect a container", "Inspect an image"). podman's service answers the same questions in the
 * same form.
 */

struct tip_docker_seen {
	char image[128]; /* id of the image, to ask about, "": it has none */
	bool settled;    /* it has been started: what it says of its network is whole */
};

/*
 * The answer to /containers/ID/json: adds facts. 0, or -1 with `err` and nothing added when it is
 * not such an answer, or about another container than `id`. Pure.
 */
int tip_docker_container(const char *text, size_t len, const char *id, struct tip_buf *facts,
			 struct tip_docker_seen *seen, struct tip_error *err);
/* The answer to /images/ID/json: adds the digest, and names if the container had none. The same. */
int tip_docker_image(const char *text, size_t len, struct tip_buf *facts, struct tip_error *err);

/*
 * One event (docker.com, "Monitor events"; podman's are in the same form): adds what it says of the
 * container that was made or started, whose id goes into `id`. 0: it is about something else, 1,
 * or -1 with `err` and nothing added. Pure.
 */
int tip_docker_event(const char *text, size_t len, char id[65], struct tip_buf *facts,
		     struct tip_error *err);

#endif
