/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "sensor/sensor.h"

/* Walks the strings behind a payload: each `len` bytes and a NUL. */
struct cursor {
	const char *at;
	size_t left;
};

static const char *take(struct cursor *c, size_t len)
{
	const char *s = c->at;

	if (len >= c->left || s[len] != '\0')
		return NULL;
	c->at += len + 1;
	c->left -= len + 1;
	return s;
}

/* The payload behind the header, `*c` set to what follows it; NULL if it does not fit. */
static const void *payload(const struct tip_hdr *hdr, size_t size, struct cursor *c)
{
	const size_t rest = hdr->len - sizeof(*hdr);

	if (rest < size)
		return NULL;
	c->at = (const char *)(hdr + 1) + size;
	c->left = rest - size;
	return hdr + 1;
}

static int decode_exec(const struct tip_hdr *hdr, struct tip_event *ev)
{
	const struct tip_ev_exec *d;
	struct cursor c;

	d = payload(hdr, sizeof(*d), &c);
	if (!d)
		return -1;
	ev->exec.data = d;
	ev->exec.filename = take(&c, d->filename_len);
	if (!ev->exec.filename)
		return -1;
	ev->exec.exe_path = take(&c, d->exe_path_len);
	if (!ev->exec.exe_path)
		return -1;
	ev->exec.cwd = take(&c, d->cwd_len);
	if (!ev->exec.cwd)
		return -1;
	ev->exec.args = take(&c, d->args_len);
	if (!ev->exec.args)
		return -1;
	ev->exec.env = d->env_len ? take(&c, d->env_len) : "";
	return ev->exec.env && c.left == 0 ? 0 : -1;
}

static int decode_open(const struct tip_hdr *hdr, struct tip_event *ev)
{
	const struct tip_ev_open *d;
	struct cursor c;

	d = payload(hdr, sizeof(*d), &c);
	if (!d)
		return -1;
	ev->open.data = d;
	ev->open.name = take(&c, d->name_len);
	if (!ev->open.name)
		return -1;
	ev->open.base = take(&c, d->base_len);
	if (!ev->open.base)
		return -1;
	ev->open.real = take(&c, d->real_len);
	/* Where it was refused nobody knew any more by which name it was asked for. */
	if ((hdr->flags & TIP_EVF_DENIED) && !d->name_len)
		ev->open.name = ev->open.real;
	if (!ev->open.real)
		return -1;
	ev->open.host = d->host_len ? take(&c, d->host_len) : "";
	return ev->open.host && c.left == 0 ? 0 : -1;
}

static int decode_sock(const struct tip_hdr *hdr, struct tip_event *ev)
{
	const struct tip_ev_sock *d;
	struct cursor c;

	d = payload(hdr, sizeof(*d), &c);
	if (!d)
		return -1;
	ev->sock.data = d;
	ev->sock.path = take(&c, d->path_len);
	return ev->sock.path && c.left == 0 ? 0 : -1;
}

static int decode_call(const struct tip_hdr *hdr, struct tip_event *ev)
{
	const struct tip_ev_call *d;
	struct cursor c;

	d = payload(hdr, sizeof(*d), &c);
	if (!d || d->call >= TIP_CALL_MAX || d->nr >= TIP_SYSCALLS ||
	    (d->call == TIP_CALL_SYSCALL) != (hdr->type == TIP_EV_CALL))
		return -1;
	ev->call.data = d;
	for (int i = 0; i < TIP_CALL_TEXTS; i++) {
		ev->call.text[i] = take(&c, d->text_len[i]);
		if (!ev->call.text[i])
			return -1;
	}
	return c.left == 0 ? 0 : -1;
}

/* Payloads without strings: the record has exactly their size. */
static const void *fixed(const struct tip_hdr *hdr, size_t size)
{
	return hdr->len == sizeof(*hdr) + size ? hdr + 1 : NULL;
}

int tip_event_decode(const void *record, size_t size, struct tip_event *ev)
{
	const struct tip_hdr *hdr = record;

	/* Rings align to 8 bytes; anything else did not come from one. */
	if (size < sizeof(*hdr) || ((uintptr_t)record & 7) || hdr->len != size ||
	    !memchr(hdr->comm, '\0', sizeof(hdr->comm)))
		return -1;
	memset(ev, 0, sizeof(*ev));
	ev->hdr = hdr;
	switch (hdr->type) {
	case TIP_EV_EXEC:
	case TIP_EV_DENIED_EXEC: return decode_exec(hdr, ev);
	case TIP_EV_FORK: ev->fork = fixed(hdr, sizeof(*ev->fork)); return ev->fork ? 0 : -1;
	case TIP_EV_EXIT: ev->exit = fixed(hdr, sizeof(*ev->exit)); return ev->exit ? 0 : -1;
	case TIP_EV_CRED: ev->cred = fixed(hdr, sizeof(*ev->cred)); return ev->cred ? 0 : -1;
	case TIP_EV_CGROUP:
		ev->cgroup = fixed(hdr, sizeof(*ev->cgroup));
		return ev->cgroup ? 0 : -1;
	case TIP_EV_NETNS:
	case TIP_EV_LISTENER: ev->netns = fixed(hdr, sizeof(*ev->netns)); return ev->netns ? 0 : -1;
	case TIP_EV_OPEN: return decode_open(hdr, ev);
	case TIP_EV_CONNECT:
	case TIP_EV_ACCEPT:
	case TIP_EV_BIND:
	case TIP_EV_LISTEN:
	case TIP_EV_DENIED_CONNECT: return decode_sock(hdr, ev);
	case TIP_EV_SIGNAL:
	case TIP_EV_PTRACE:
	case TIP_EV_MOUNT:
	case TIP_EV_MODULE:
	case TIP_EV_MMAP:
	case TIP_EV_CALL: return decode_call(hdr, ev);
	default: return -1;
	}
}
