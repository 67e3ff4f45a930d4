/* SPDX-License-Identifier: Apache-2.0 */
#include "container/docker.h"

#include <stdio.h>
#include <string.h>

#include "container/facts.h"
#include "container/json.h"

#define MOUNTS_MAX 64

/* Names that the kubelet gave containers while it drove docker, and that cri-dockerd gives. */
static const struct {
	const char *label;
	enum tip_fact kind;
} kubernetes[] = {
	{"io.kubernetes.pod.name", TIP_FACT_POD_NAME},
	{"io.kubernetes.pod.uid", TIP_FACT_POD_UID},
	{"io.kubernetes.pod.namespace", TIP_FACT_NAMESPACE},
	{"io.kubernetes.sandbox.id", TIP_FACT_POD_SANDBOX},
};

static void add_names(struct tip_buf *facts, json_t *root)
{
	const char *name = tip_answer_text(root, "Name");
	const char *id = tip_answer_text(root, "Image");

	/* docker's names have a slash, from the days of links */
	tip_facts_add(facts, TIP_FACT_NAME, name && *name == '/' ? name + 1 : name);
	tip_facts_add_image(facts, tip_answer_text(root, "Config.Image"));
	if (id)
		tip_facts_add(facts, TIP_FACT_IMAGE_ID,
			      strncmp(id, "sha256:", 7) == 0 ? id + 7 : id);
}

static bool is(json_t *root, const char *path, const char *value)
{
	const char *text = tip_answer_text(root, path);

	return text && strcmp(text, value) == 0;
}

/* The address on the default network, else on the first that has one. */
static const char *address(json_t *root)
{
	const char *ip = tip_answer_text(root, "NetworkSettings.IPAddress"), *key;
	json_t *network;

	if (ip && *ip)
		return ip;
	json_object_foreach (tip_answer_at(root, "NetworkSettings.Networks"), key, network) {
		ip = tip_answer_text(network, "IPAddress");
		if (ip && *ip)
			return ip;
	}
	return NULL;
}

static void add_mounts(struct tip_buf *facts, json_t *mounts)
{
	for (size_t i = 0; i < json_array_size(mounts) && i < MOUNTS_MAX; i++) {
		json_t *m = json_array_get(mounts, i);
		const char *source = tip_answer_text(m, "Source");
		const char *dest = tip_answer_text(m, "Destination");
		const char *mode = tip_answer_text(m, "Mode");
		const char *propagation = tip_answer_text(m, "Propagation");

		tip_facts_addf(facts, TIP_FACT_MOUNT, "%s:%s:%s:%s:%s", source ? source : "",
			       dest ? dest : "", mode ? mode : "",
			       tip_answer_true(m, "RW") ? "true" : "false",
			       propagation ? propagation : "");
	}
}

/* HEALTHCHECK of the image or of `docker run`: ["CMD", word...] or ["CMD-SHELL", line]. */
static void add_healthcheck(struct tip_buf *facts, json_t *test)
{
	const char *kind = json_string_value(json_array_get(test, 0));
	const char *line = json_string_value(json_array_get(test, 1));

	if (!kind)
		return;
	if (strcmp(kind, "CMD") == 0)
		tip_answer_words(facts, TIP_FACT_HEALTHCHECK, test, 1);
	else if (strcmp(kind, "CMD-SHELL") == 0 && line)
		tip_facts_addf(facts, TIP_FACT_HEALTHCHECK, "/bin/sh -c %s", line);
}

static void add_kubernetes(struct tip_buf *facts, json_t *labels)
{
	for (size_t i = 0; i < sizeof(kubernetes) / sizeof(kubernetes[0]); i++)
		tip_facts_add(facts, kubernetes[i].kind,
			      json_string_value(json_object_get(labels, kubernetes[i].label)));
	tip_answer_probes(facts,
			  json_string_value(json_object_get(
				  labels, "io.kubernetes.container.last-applied-config")),
			  NULL);
}

/* It becomes part of a path: nothing but a digest is one. */
static void take_image(const char *image, struct tip_docker_seen *seen)
{
	if (image && strncmp(image, "sha256:", 7) == 0 && strlen(image) < sizeof(seen->image) &&
	    image[7 + strspn(image + 7, "0123456789abcdef")] == '\0')
		snprintf(seen->image, sizeof(seen->image), "%s", image);
}

int tip_docker_container(const char *text, size_t len, const char *id, struct tip_buf *facts,
			 struct tip_docker_seen *seen, struct tip_error *err)
{
	json_t *root = tip_answer_parse(text, len, err), *labels;
	uint64_t started;

	*seen = (struct tip_docker_seen){0};
	if (!root)
		return -1;
	if (!is(root, "Id", id)) {
		json_decref(root);
		return tip_error_set(err, "the answer is about another container");
	}
	labels = tip_answer_at(root, "Config.Labels");
	add_names(facts, root);
	tip_facts_add_bool(facts, TIP_FACT_PRIVILEGED,
			   tip_answer_true(root, "HostConfig.Privileged"));
	tip_facts_add_bool(facts, TIP_FACT_HOST_PID, is(root, "HostConfig.PidMode", "host"));
	tip_facts_add_bool(facts, TIP_FACT_HOST_NETWORK,
			   is(root, "HostConfig.NetworkMode", "host"));
	tip_facts_add_bool(facts, TIP_FACT_HOST_IPC, is(root, "HostConfig.IpcMode", "host"));
	started = tip_facts_time(tip_answer_text(root, "State.StartedAt"));
	if (started)
		tip_facts_addf(facts, TIP_FACT_STARTED, "%llu", (unsigned long long)started);
	tip_facts_add(facts, TIP_FACT_IP, address(root));
	add_kubernetes(facts, labels);
	add_healthcheck(facts, tip_answer_at(root, "Config.Healthcheck.Test"));
	add_mounts(facts, tip_answer_at(root, "Mounts"));
	tip_answer_labels(facts, TIP_FACT_LABEL, labels);
	seen->settled = started != 0;
	take_image(tip_answer_text(root, "Image"), seen);
	json_decref(root);
	return 0;
}

/* What stands behind the "@" in the first of the image's digests. */
static void add_digest(struct tip_buf *facts, json_t *digests)
{
	const char *first = json_string_value(json_array_get(digests, 0));
	const char *at = first ? strchr(first, '@') : NULL;

	if (at)
		tip_facts_add(facts, TIP_FACT_IMAGE_DIGEST, at + 1);
}

int tip_docker_image(const char *text, size_t len, struct tip_buf *facts, struct tip_error *err)
{
	json_t *root = tip_answer_parse(text, len, err);

	if (!root)
		return -1;
	/* Of each kind the first counts: these are for a container that was started by an id. */
	tip_facts_add_image(facts,
			    json_string_value(json_array_get(tip_answer_at(root, "RepoTags"), 0)));
	add_digest(facts, tip_answer_at(root, "RepoDigests"));
	json_decref(root);
	return 0;
}

/* ---- events --------------------------------------------------------------------------------- */

/* What runtimes put among a container's labels in an event. */
static bool is_label(const char *key)
{
	static const char *const others[] = {"image", "name", "containerExitCode", "podId",
					     "exitCode"};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(key, others[i]) == 0)
			return false;
	return true;
}

static bool is_beginning(const char *action)
{
	return action && (strcmp(action, "create") == 0 || strcmp(action, "init") == 0 ||
			  strcmp(action, "start") == 0);
}

int tip_docker_event(const char *text, size_t len, char id[65], struct tip_buf *facts,
		     struct tip_error *err)
{
	json_t *root = tip_answer_parse(text, len, err), *attributes, *value;
	const char *whose, *key;
	void *next;
	int ret = 0;

	if (!root)
		return -1;
	whose = tip_answer_text(root, "Actor.ID");
	if (!is(root, "Type", "container") || !is_beginning(tip_answer_text(root, "Action")))
		goto out;
	if (!whose || !tip_facts_is_id(whose)) {
		ret = tip_error_set(err, "an event about no container");
		goto out;
	}
	memcpy(id, whose, 65);
	attributes = tip_answer_at(root, "Actor.Attributes");
	tip_facts_add(facts, TIP_FACT_NAME, tip_answer_text(attributes, "name"));
	tip_facts_add_image(facts, tip_answer_text(attributes, "image"));
	add_kubernetes(facts, attributes);
	json_object_foreach_safe (attributes, next, key, value) {
		if (!is_label(key))
			json_object_del(attributes, key);
	}
	tip_answer_labels(facts, TIP_FACT_LABEL, attributes);
	ret = 1;
out:
	json_decref(root);
	return ret;
}
