/* SPDX-License-Identifier: Apache-2.0 */
/* The ring is input like any other: whatever is in it, decoding reads inside the record or refuses
 * it. */
#include <stdlib.h>
#include <string.h>

#include "sensor/sensor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a string as its users do. */
static size_t touch(const char *s, size_t len)
{
	if (s[len] != '\0' || strlen(s) > len)
		abort();
	return len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tip_event ev;
	uint32_t len = (uint32_t)size;
	uint8_t *record;

	if (size < sizeof(struct tip_hdr))
		return 0;
	record = malloc(size);
	if (!record)
		return 0;
	memcpy(record, data, size);
	/* The top bit of the type, unused otherwise, asks for a length that is right: the
	 * interesting cases lie behind that check. */
	if (data[1] & 0x80)
		memcpy(record + offsetof(struct tip_hdr, len), &len, sizeof(len));
	record[1] &= 0x7f;
	if (tip_event_decode(record, size, &ev) == 0) {
		switch (ev.hdr->type) {
		case TIP_EV_EXEC:
		case TIP_EV_DENIED_EXEC:
			touch(ev.exec.filename, ev.exec.data->filename_len);
			touch(ev.exec.exe_path, ev.exec.data->exe_path_len);
			touch(ev.exec.cwd, ev.exec.data->cwd_len);
			touch(ev.exec.args, ev.exec.data->args_len);
			touch(ev.exec.env, ev.exec.data->env_len);
			break;
		case TIP_EV_OPEN:
			/* One that was refused has no name but what it would have opened. */
			if (ev.open.name != ev.open.real)
				touch(ev.open.name, ev.open.data->name_len);
			touch(ev.open.base, ev.open.data->base_len);
			touch(ev.open.real, ev.open.data->real_len);
			touch(ev.open.host, ev.open.data->host_len);
			break;
		case TIP_EV_CONNECT:
		case TIP_EV_ACCEPT:
		case TIP_EV_BIND:
		case TIP_EV_LISTEN:
		case TIP_EV_DENIED_CONNECT: touch(ev.sock.path, ev.sock.data->path_len); break;
		case TIP_EV_SIGNAL:
		case TIP_EV_PTRACE:
		case TIP_EV_MOUNT:
		case TIP_EV_MODULE:
		case TIP_EV_MMAP:
		case TIP_EV_CALL:
			if (ev.call.data->call >= TIP_CALL_MAX)
				abort();
			for (int i = 0; i < TIP_CALL_TEXTS; i++)
				touch(ev.call.text[i], ev.call.data->text_len[i]);
			break;
		case TIP_EV_NETNS:
		case TIP_EV_LISTENER:
			if ((const uint8_t *)(ev.netns + 1) > record + size)
				abort();
			break;
		default: break;
		}
	}
	free(record);
	return 0;
}
