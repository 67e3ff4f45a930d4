/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/field.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"

/* Names of services from /etc/services, read when the first rule asks. NSS is not asked. */

#define FILE_MAX (4u << 20)

struct tip_services {
	const char *path;
	bool read;
	struct tip_map *names; /* key() -> name */
};

struct tip_services *tip_services_new(const char *path)
{
	struct tip_services *s = tip_alloc(sizeof(*s));

	s->path = path;
	return s;
}

void tip_services_free(struct tip_services *s)
{
	if (!s)
		return;
	tip_map_free(s->names, free);
	free(s);
}

static uint64_t key(uint16_t port, bool udp)
{
	return port | (udp ? 1u << 16 : 0);
}

/* "http  80/tcp  www  # comment" */
static void add_line(struct tip_services *s, char *line)
{
	char *save = NULL, *name, *number, *proto;
	unsigned long port;
	uint64_t k;

	*strchrnul(line, '#') = '\0';
	name = strtok_r(line, " \t", &save);
	number = name ? strtok_r(NULL, " \t", &save) : NULL;
	if (!number)
		return;
	port = strtoul(number, &proto, 10);
	if (*proto != '/' || !port || port > UINT16_MAX)
		return;
	proto++;
	if (strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0)
		return;
	k = key((uint16_t)port, proto[0] == 'u');
	if (!tip_map_getu(s->names, k))
		tip_map_putu(s->names, k, tip_strdup(name));
}

const char *tip_service_name(struct tip_services *s, uint16_t port, bool udp)
{
	struct tip_buf buf = {0};
	struct tip_error err;
	char *rest, *line;

	if (!s->read) {
		s->read = true;
		s->names = tip_map_new();
		if (tip_file_read(s->path, FILE_MAX, &buf, &err) == 0)
			for (rest = buf.data; rest && (line = strsep(&rest, "\n"));)
				add_line(s, line);
		tip_buf_free(&buf);
	}
	return tip_map_getu(s->names, key(port, udp));
}
