/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "detect/field.h"
#include "detect/hosts.h"

/* Names for addresses and ports: the hosts that rules name, and /etc/services. */

#define NAMES_MAX 16 /* of one address, among the names in the rules */

static void fd_host(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const char *names[NAMES_MAX];
	struct tip_value *items;
	struct tip_host_addr addr;
	struct tip_ip ip;
	size_t n;

	if (!x->hosts || !tip_extract_end_ip(x, ref->field->a, &ip))
		return;
	tip_host_addr_set(&addr, ip.family, ip.addr);
	n = tip_hosts_of(x->hosts, &addr, names, NAMES_MAX);
	if (n == 1) {
		tip_value_str(out, names[0]);
	} else if (n) {
		items = tip_value_items(x, out, (uint32_t)n);
		for (size_t i = 0; i < n; i++)
			tip_value_str(&items[i], names[i]);
	}
}

/* The name of the service, or the number. */
static void service(struct tip_extract *x, uint16_t port, struct tip_value *out)
{
	bool udp = tip_extract_sock(x)->protocol == IPPROTO_UDP;
	const char *name = x->services ? tip_service_name(x->services, port, udp) : NULL;

	if (name)
		tip_value_str(out, name);
	else
		tip_value_fmt(x, out, "%u", port);
}

static void fd_service(struct tip_extract *x, const struct tip_field_ref *ref,
		       struct tip_value *out)
{
	struct tip_value *items;
	uint16_t port, other;

	if (ref->field->a != TIP_END_ANY) {
		if (tip_extract_end_port(x, ref->field->a, &port))
			service(x, port, out);
		return;
	}
	if (!tip_extract_end_port(x, TIP_END_LOCAL, &port))
		return;
	if (!tip_extract_end_port(x, TIP_END_REMOTE, &other)) {
		service(x, port, out);
		return;
	}
	items = tip_value_items(x, out, 2);
	service(x, port, &items[0]);
	service(x, other, &items[1]);
}

#define SOCK (TIP_CODES_SOCK | TIP_CODES_DESC)
#define HOST(name_, end_, desc_)                                                                   \
	{.name = (name_),                                                                          \
	 .type = TIP_T_STRING,                                                                     \
	 .codes = SOCK,                                                                            \
	 .get = fd_host,                                                                           \
	 .a = (end_),                                                                              \
	 .host = true,                                                                             \
	 .desc = (desc_)}

static const struct tip_field fields[] = {
	HOST("fd.cip.name", TIP_END_CLIENT,
	     "host name of the client: those names that rules compare these fields with, and that "
	     "had its address when they were last resolved; unset if none had"),
	HOST("fd.sip.name", TIP_END_SERVER, "host name of the server, as fd.cip.name"),
	HOST("fd.lip.name", TIP_END_LOCAL, "host name of the local address, as fd.cip.name"),
	HOST("fd.rip.name", TIP_END_REMOTE, "host name of the remote address, as fd.cip.name"),
	TIP_FIELD("fd.proto", TIP_T_STRING, 0, SOCK, fd_service, TIP_END_ANY, 0,
		  "service name of either port from /etc/services, or its number"),
	TIP_FIELD("fd.cproto", TIP_T_STRING, 0, SOCK, fd_service, TIP_END_CLIENT, 0,
		  "service name of the client's port, or its number"),
	TIP_FIELD("fd.sproto", TIP_T_STRING, 0, SOCK, fd_service, TIP_END_SERVER, 0,
		  "service name of the server's port, or its number"),
	TIP_FIELD("fd.lproto", TIP_T_STRING, 0, SOCK, fd_service, TIP_END_LOCAL, 0,
		  "service name of the local port, or its number"),
	TIP_FIELD("fd.rproto", TIP_T_STRING, 0, SOCK, fd_service, TIP_END_REMOTE, 0,
		  "service name of the remote port, or its number"),
};

const struct tip_field_table tip_fields_net = {fields, TIP_ARRAY_SIZE(fields)};
