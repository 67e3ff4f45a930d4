/* SPDX-License-Identifier: Apache-2.0 */
#include "tipstaffd/lacks.h"

#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"

static bool always(const struct tip_keeper *k)
{
	return true;
}

static bool enforcement(const struct tip_keeper *k)
{
	return k->config->enforcement;
}

/* BPF LSM refuses them as well, and needs no cgroup for it. */
static bool refused_connects(const struct tip_keeper *k)
{
	return k->config->enforcement && !k->caps[TIP_CAP_LSM].works;
}

static bool traffic(const struct tip_keeper *k)
{
	return k->config->traffic;
}

static bool kernel_records(const struct tip_keeper *k)
{
	return k->config->traffic && k->config->records != TIP_RECORDS_USER;
}

static bool kernel_sensing(const struct tip_keeper *k)
{
	return k->config->sensing != TIP_SENSING_ONLY_SYSCALLS;
}

static const struct {
	enum tip_capability cap;
	bool (*wanted)(const struct tip_keeper *k);
	bool unprotected; /* what the configuration asks for is not done by other means either */
	const char *follows;
} lacks[] = {
	{TIP_CAP_LSM, enforcement, false,
	 "no act is denied before it happens: a rule that kills ends the process as its system "
	 "call returns"},
	{TIP_CAP_FENTRY, kernel_sensing, false,
	 "acts are seen as their system calls return: what io_uring does as it is asked for, and "
	 "names as memory holds them by then"},
	{TIP_CAP_KTLS, kernel_records, false,
	 "mTLS records are encrypted in the front, by OpenSSL, and not by the kernel"},
	{TIP_CAP_CGROUP2, always, false,
	 "no process has a cgroup path: cgroup:path selectors and rules about containers match "
	 "nothing"},
	{TIP_CAP_CGROUP2, refused_connects, true,
	 "a quarantine refuses no connect() and no datagram: it withholds SVIDs and ends streams"},
	{TIP_CAP_CGROUP2, traffic, true,
	 "transparent mTLS is off: connections that traffic policies cover are not protected by "
	 "it"},
};

static bool lacking(const struct tip_keeper *k, size_t i)
{
	return !k->caps[lacks[i].cap].works && lacks[i].wanted(k);
}

void tip_lacks_log(const struct tip_keeper *k)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(lacks); i++)
		if (lacking(k, i))
			tip_warn("sensor", "this kernel has no %s (%s): %s",
				 tip_capability_name(lacks[i].cap), k->caps[lacks[i].cap].detail,
				 lacks[i].follows);
}

void tip_lacks_alert(struct tip_keeper *k)
{
	char text[512];

	for (size_t i = 0; i < TIP_ARRAY_SIZE(lacks); i++) {
		const char *name = tip_capability_name(lacks[i].cap);
		const struct tip_alert_field extra[] = {{"tipstaff.capability", name},
							{"tipstaff.follows", lacks[i].follows}};

		if (!lacks[i].unprotected || !lacking(k, i))
			continue;
		snprintf(text, sizeof(text), "Configured protection is missing | lacks=%s: %s",
			 name, lacks[i].follows);
		tip_keeper_alert(k, "Configured protection missing", TIP_PRIO_CRITICAL, NULL, extra,
				 TIP_ARRAY_SIZE(extra), text);
	}
}

json_t *tip_lacks_json(const struct tip_keeper *k)
{
	json_t *list = json_array();

	for (size_t i = 0; i < TIP_ARRAY_SIZE(lacks); i++)
		if (lacking(k, i))
			json_array_append_new(list,
					      json_pack("{s:s, s:s, s:s, s:b}", "capability",
							tip_capability_name(lacks[i].cap), "detail",
							k->caps[lacks[i].cap].detail, "follows",
							lacks[i].follows, "unprotected",
							(int)lacks[i].unprotected));
	return list;
}
