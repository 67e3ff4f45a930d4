/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/unistd_64.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "detect/field.h"
#include "process/live.h"

/* fdlist.*: the descriptors that poll() and ppoll() are given, as many as were gathered. */

#define POLLED_MAX (TIP_DATA_MAX / sizeof(struct pollfd))

static size_t polled(const struct tip_extract *x, int fds[POLLED_MAX])
{
	const struct tip_ev_call *d = x->in->ev->call.data;
	size_t n = 0;

	if (d->nr != __NR_poll && d->nr != __NR_ppoll)
		return 0;
	while (n < POLLED_MAX && (n + 1) * sizeof(struct pollfd) <= d->text_len[TIP_TEXT_DATA]) {
		struct pollfd p;

		memcpy(&p, x->in->ev->call.text[TIP_TEXT_DATA] + n * sizeof(p), sizeof(p));
		fds[n++] = p.fd;
	}
	return n;
}

static void fdlist_nums(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	char text[POLLED_MAX * 12];
	int fds[POLLED_MAX];
	size_t count = polled(x, fds), n = 0;

	for (size_t i = 0; i < count; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%d", i ? "," : "", fds[i]);
	if (n)
		tip_value_fmt(x, out, "%s", text);
}

static void fdlist_names(struct tip_extract *x, const struct tip_field_ref *ref,
			 struct tip_value *out)
{
	int fds[POLLED_MAX], proc;
	size_t count = polled(x, fds);
	struct tip_buf text = {0};
	struct tip_live_fd f;

	proc = count ? tip_live_open(&x->in->ev->hdr->proc) : -1;
	if (proc < 0)
		return;
	for (size_t i = 0; i < count; i++)
		tip_buf_addf(&text, "%s%s", i ? "," : "",
			     fds[i] >= 0 && tip_live_fd(proc, (uint32_t)fds[i], &f) ? f.name
										    : "<NA>");
	close(proc);
	tip_value_fmt(x, out, "%s", text.data);
	tip_buf_free(&text);
}

static const char *const calls[] = {"poll", "ppoll", NULL};

static const struct tip_field fields[] = {
	{.name = "fdlist.nums",
	 .type = TIP_T_STRING,
	 .codes = TIP_CODE_BIT(TIP_CODE_OTHER),
	 .calls = calls,
	 .get = fdlist_nums,
	 .desc = "numbers of the descriptors, ten at most, commas between"},
	{.name = "fdlist.names",
	 .type = TIP_T_STRING,
	 .codes = TIP_CODE_BIT(TIP_CODE_OTHER),
	 .calls = calls,
	 .get = fdlist_names,
	 .desc = "their paths, or kinds and inodes ('socket:[81]'), when the rule asks; '<NA>' for "
		 "one that is not open"},
};

const struct tip_field_table tip_fields_poll = {fields, TIP_ARRAY_SIZE(fields)};
