/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIPSTAFF_FACTS_H
#define TIPSTAFF_FACTS_H

/*
 * What a container runtime says about one container, as the front tells it to the keeper: a list of
 * facts, each one byte (enum tip_fact), the text, a NUL. Of the facts before TIP_FACT_SINGLE the
 * first of each kind counts; the others may come many times. Who reads it believes nothing but the
 * form.
 */
#define TIP_FACTS_MAX     16384 /* bytes of one list */
#define TIP_FACT_TEXT_MAX 4096  /* bytes of one text */

enum tip_fact {
	TIP_FACT_TYPE = 1, /* docker, podman, containerd, cri-o */
	TIP_FACT_NAME,
	TIP_FACT_IMAGE, /* as the runtime names it: registry/name:tag */
	TIP_FACT_IMAGE_REPOSITORY,
	TIP_FACT_IMAGE_TAG,
	TIP_FACT_IMAGE_ID,
	TIP_FACT_IMAGE_DIGEST, /* sha256:... */
	TIP_FACT_PRIVILEGED,   /* these four: true or false */
	TIP_FACT_HOST_PID,
	TIP_FACT_HOST_NETWORK,
	TIP_FACT_HOST_IPC,
	TIP_FACT_STARTED, /* ns since the epoch, decimal */
	TIP_FACT_IP,
	TIP_FACT_CNI_JSON,
	TIP_FACT_HEALTHCHECK, /* these three: a command, its words parted by blanks */
	TIP_FACT_LIVENESS,
	TIP_FACT_READINESS,
	TIP_FACT_POD_NAME,
	TIP_FACT_POD_UID,
	TIP_FACT_POD_SANDBOX, /* the sandbox's id */
	TIP_FACT_POD_IP,
	TIP_FACT_POD_CNI_JSON,
	TIP_FACT_NAMESPACE,
	TIP_FACT_SINGLE,

	TIP_FACT_LABEL = 64, /* "key=value" */
	TIP_FACT_POD_LABEL,
	TIP_FACT_MOUNT, /* "source:dest:mode:rdw:propagation" */
	TIP_FACT_MAX
};

/* Which runtime a question is for: what the name of a cgroup tells, and how a socket is talked to.
 */
enum tip_runtime {
	TIP_RUNTIME_ANY, /* the name tells nothing */
	TIP_RUNTIME_DOCKER,
	TIP_RUNTIME_PODMAN,
	TIP_RUNTIME_CRI, /* a question: containerd or cri-o */
	TIP_RUNTIME_KINDS
};

/* What may be asked, about a container's or an image's id ("sha256:..."). */
enum tip_runtime_question {
	TIP_ASK_CONTAINER, /* of docker and podman */
	TIP_ASK_IMAGE,
	TIP_ASK_CRI_LIST,
	TIP_ASK_CRI_STATUS,
	TIP_ASK_CRI_SANDBOX,
	TIP_ASK_CRI_VERSION, /* about nothing */
	/* These two about nothing, and their answers do not end. */
	TIP_ASK_EVENTS, /* of docker and podman: containers as they are made and started */
	TIP_ASK_CRI_EVENTS,
	TIP_ASK_PODS, /* of the kubelet, about nothing: its pods */
};

/* What a list of facts is. */
enum tip_facts_kind {
	TIP_FACTS_NONE, /* none: no runtime knows the container */
	TIP_FACTS_PART, /* what it said when the container was made; its answer is still awaited */
	TIP_FACTS_WHOLE,
	TIP_FACTS_KINDS
};

#endif
