/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "detect/field.h"

/*
 * Fields of the language that nothing feeds yet. A rule may use them, so that rule files load
 * unchanged; they are unset, so no comparison with them is true. A field moves out of this table
 * when an event or a client of a container runtime brings it.
 */
#define S(name_) TIP_FIELD(name_, TIP_T_STRING, 0, 0, NULL, 0, 0, "not served yet")
#define U(name_) TIP_FIELD(name_, TIP_T_UINT, 0, 0, NULL, 0, 0, "not served yet")
#define I(name_) TIP_FIELD(name_, TIP_T_INT, 0, 0, NULL, 0, 0, "not served yet")
#define B(name_) TIP_FIELD(name_, TIP_T_BOOL, 0, 0, NULL, 0, 0, "not served yet")
#define T(name_) TIP_FIELD(name_, TIP_T_RELTIME, 0, 0, NULL, 0, 0, "not served yet")
#define D(name_) TIP_FIELD(name_, TIP_T_DOUBLE, 0, 0, NULL, 0, 0, "not served yet")
#define N(name_) TIP_FIELD(name_, TIP_T_STRING, TIP_ARG_NAME, 0, NULL, 0, 0, "not served yet")
#define NREQ(name_)                                                                                \
	TIP_FIELD(name_, TIP_T_STRING, TIP_ARG_NAME_REQ, 0, NULL, 0, 0, "not served yet")
#define LIST(name_, type_)                                                                         \
	{.name = (name_),                                                                          \
	 .type = (type_),                                                                          \
	 .arg = TIP_ARG_INDEX,                                                                     \
	 .desc = "not served yet",                                                                 \
	 .list = true}

static const struct tip_field fields[] = {
	/* evt */
	T("evt.reltime"),
	T("evt.reltime.s"),
	T("evt.reltime.ns"),
	T("evt.deltatime"),
	T("evt.deltatime.s"),
	T("evt.deltatime.ns"),
	S("evt.pluginname"),
	S("evt.plugininfo"),
	S("evt.asynctype"),
	TIP_FIELD("evt.buffer", TIP_T_BYTES, 0, 0, NULL, 0, 0, "not served yet"),
	U("evt.buflen"),
	S("evt.io_dir"),
	U("evt.count.error.file"),
	U("evt.count.error.net"),
	U("evt.count.error.memory"),
	U("evt.count.error.other"),
	U("evt.count.exit"),
	TIP_FIELD("evt.around", TIP_T_UINT, TIP_ARG_NAME_REQ, 0, NULL, 0, 0, "not served yet"),
	N("evt.abspath"),
	{.name = "evt.latency",
	 .type = TIP_T_RELTIME,
	 .desc = "not served",
	 .deprecated = "there are exit events only: evt.latency is never set"},
	{.name = "evt.latency.s",
	 .type = TIP_T_RELTIME,
	 .desc = "not served",
	 .deprecated = "there are exit events only: evt.latency.s is never set"},
	{.name = "evt.latency.ns",
	 .type = TIP_T_RELTIME,
	 .desc = "not served",
	 .deprecated = "there are exit events only: evt.latency.ns is never set"},
	{.name = "evt.latency.human",
	 .type = TIP_T_STRING,
	 .desc = "not served",
	 .deprecated = "there are exit events only: evt.latency.human is never set"},
	{.name = "evt.wait_latency",
	 .type = TIP_T_RELTIME,
	 .desc = "not served",
	 .deprecated = "there are exit events only: evt.wait_latency is never set"},
	/* proc, thread */
	T("thread.exectime"),
	T("thread.totexectime"),
	U("thread.cpu"),
	D("thread.cpu.user"),
	D("thread.cpu.system"),
	/* fd, fs.path, fdlist */
	S("fs.path.name"),
	S("fs.path.nameraw"),
	S("fs.path.source"),
	S("fs.path.sourceraw"),
	S("fs.path.target"),
	S("fs.path.targetraw"),
	S("fdlist.nums"),
	S("fdlist.names"),
	S("fdlist.cips"),
	S("fdlist.sips"),
	S("fdlist.cports"),
	S("fdlist.sports"),
	/* what a container runtime or an API server knows */
	{.name = "container.info",
	 .type = TIP_T_STRING,
	 .desc = "not served",
	 .deprecated = "name the container.* fields that are wanted"},
	S("k8s.ns.id"),
	NREQ("k8s.ns.label"),
	S("k8s.ns.labels"),
	S("k8s.rc.name"),
	S("k8s.rc.id"),
	NREQ("k8s.rc.label"),
	S("k8s.rc.labels"),
	S("k8s.rs.name"),
	S("k8s.rs.id"),
	NREQ("k8s.rs.label"),
	S("k8s.rs.labels"),
	S("k8s.svc.name"),
	S("k8s.svc.id"),
	NREQ("k8s.svc.label"),
	S("k8s.svc.labels"),
	S("k8s.deployment.name"),
	S("k8s.deployment.id"),
	NREQ("k8s.deployment.label"),
	S("k8s.deployment.labels"),
};

const struct tip_field_table tip_fields_unserved = {fields, TIP_ARRAY_SIZE(fields)};
