/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "detect/field.h"

/*
 * Fields of the language that nothing feeds. A rule may use them, so that rule files load
 * unchanged; they are unset, so no comparison with them is true. Each says why. A field moves out
 * of this table when an event or a client of a container runtime brings it.
 */
#define FIELD(name_, type_, arg_, why_) TIP_FIELD(name_, type_, arg_, 0, NULL, 0, 0, why_)
#define S(name_, why_)                  FIELD(name_, TIP_T_STRING, TIP_ARG_NONE, why_)
#define U(name_, why_)                  FIELD(name_, TIP_T_UINT, TIP_ARG_NONE, why_)
#define T(name_, why_)                  FIELD(name_, TIP_T_RELTIME, TIP_ARG_NONE, why_)
#define D(name_, why_)                  FIELD(name_, TIP_T_DOUBLE, TIP_ARG_NONE, why_)
#define NREQ(name_, why_)               FIELD(name_, TIP_T_STRING, TIP_ARG_NAME_REQ, why_)
#define GONE(name_, type_)                                                                         \
	{.name = (name_),                                                                          \
	 .type = (type_),                                                                          \
	 .desc = LATENCY,                                                                          \
	 .deprecated = "there are exit events only: " name_ " is never set"}

#define PLUGIN    "of an event that a plugin makes: there are no plugins here"
#define LATENCY   "the time between the two events of a call: there is one event for each"
#define SCHEDULER "needs an event for each switch of tasks, which would cost more than all others"
#define SHARE     "a share of CPU time needs two readings, and a rule has one event"
#define POLL      "of the sockets in poll(): only their numbers are gathered"
#define CLUSTER   "only the API server of Kubernetes knows it, and that is not asked"

static const struct tip_field fields[] = {
	/* evt */
	S("evt.pluginname", PLUGIN),
	S("evt.plugininfo", PLUGIN),
	S("evt.asynctype", "of an asynchronous event: there are none"),
	FIELD("evt.around", TIP_T_UINT, TIP_ARG_NAME_REQ,
	      "for looking through recorded events: compare evt.rawtime with two limits"),
	GONE("evt.latency", TIP_T_RELTIME),
	GONE("evt.latency.s", TIP_T_RELTIME),
	GONE("evt.latency.ns", TIP_T_RELTIME),
	GONE("evt.latency.human", TIP_T_STRING),
	GONE("evt.wait_latency", TIP_T_RELTIME),
	/* thread */
	T("thread.exectime", SCHEDULER),
	T("thread.totexectime", SCHEDULER),
	U("thread.cpu", SHARE),
	D("thread.cpu.user", SHARE),
	D("thread.cpu.system", SHARE),
	/* fdlist */
	S("fdlist.cips", POLL),
	S("fdlist.sips", POLL),
	S("fdlist.cports", POLL),
	S("fdlist.sports", POLL),
	/* what an API server knows */
	{.name = "container.info",
	 .type = TIP_T_STRING,
	 .desc = "a line about the container: name the fields that are wanted instead",
	 .deprecated = "name the container.* fields that are wanted"},
	S("k8s.ns.id", CLUSTER),
	NREQ("k8s.ns.label", CLUSTER),
	S("k8s.ns.labels", CLUSTER),
	S("k8s.rc.name", CLUSTER),
	S("k8s.rc.id", CLUSTER),
	NREQ("k8s.rc.label", CLUSTER),
	S("k8s.rc.labels", CLUSTER),
	S("k8s.rs.name", CLUSTER),
	S("k8s.rs.id", CLUSTER),
	NREQ("k8s.rs.label", CLUSTER),
	S("k8s.rs.labels", CLUSTER),
	S("k8s.svc.name", CLUSTER),
	S("k8s.svc.id", CLUSTER),
	NREQ("k8s.svc.label", CLUSTER),
	S("k8s.svc.labels", CLUSTER),
	S("k8s.deployment.name", CLUSTER),
	S("k8s.deployment.id", CLUSTER),
	NREQ("k8s.deployment.label", CLUSTER),
	S("k8s.deployment.labels", CLUSTER),
};

const struct tip_field_table tip_fields_unserved = {fields, TIP_ARRAY_SIZE(fields)};
