/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "detect/field.h"

/* evt.*: the event itself. */

static void evt_num(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_value_int(out, (int64_t)x->in->evt_num);
}

static void evt_cpu(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_value_int(out, x->in->ev->hdr->cpu);
}

enum { CLOCK_HMS, CLOCK_HMS_S, CLOCK_ISO, CLOCK_DATE, CLOCK_DATE_S };

static void evt_time(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	static const char *const formats[] = {[CLOCK_HMS] = "%H:%M:%S",
					      [CLOCK_HMS_S] = "%H:%M:%S",
					      [CLOCK_DATE] = "%Y-%m-%d %H:%M:%S",
					      [CLOCK_DATE_S] = "%Y-%m-%d %H:%M:%S"};
	time_t sec = (time_t)(x->in->time_ns / TIP_NSEC_PER_SEC);
	unsigned int nsec = (unsigned int)(x->in->time_ns % TIP_NSEC_PER_SEC);
	char stamp[48];
	struct tm tm;

	if (ref->field->a == CLOCK_ISO) {
		/* +0000 where that has Z: Falco writes it with strftime's %z. */
		tip_value_fmt(x, out, "%.29s+0000",
			      tip_clock_iso8601(x->in->time_ns, stamp, sizeof(stamp)));
		return;
	}
	localtime_r(&sec, &tm);
	strftime(stamp, sizeof(stamp), formats[ref->field->a], &tm);
	if (ref->field->a == CLOCK_HMS || ref->field->a == CLOCK_DATE)
		tip_value_fmt(x, out, "%s.%09u", stamp, nsec);
	else
		tip_value_fmt(x, out, "%s", stamp);
}

enum { RAW_ALL, RAW_S, RAW_NS };

static void evt_rawtime(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	uint64_t t = x->in->time_ns;

	switch (ref->field->a) {
	case RAW_S: t /= TIP_NSEC_PER_SEC; break;
	case RAW_NS: t %= TIP_NSEC_PER_SEC; break;
	default: break;
	}
	tip_value_int(out, (int64_t)t);
}

static void evt_text(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	static const char *const texts[] = {"syscall", "<"};

	tip_value_str(out, texts[ref->field->a]);
}

static void evt_hostname(struct tip_extract *x, const struct tip_field_ref *ref,
			 struct tip_value *out)
{
	if (x->in->hostname)
		tip_value_str(out, x->in->hostname);
}

static void evt_type(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	if (ref->field->a && x->code == TIP_CODE_PROCEXIT)
		return; /* syscall.type: a process ends without a call */
	tip_value_str(out, tip_event_shown(x->in->ev, x->code));
}

static void evt_type_is(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	int number = tip_event_number(ref->arg);
	bool is = number >= 0 && (tip_event_codes(number) & TIP_CODE_BIT(x->code));

	if (is && x->code == TIP_CODE_OTHER)
		is = strcmp(ref->arg, tip_event_shown(x->in->ev, x->code)) == 0;
	tip_value_int(out, is);
}

#define BIT(c)   TIP_CODE_BIT(TIP_CODE_##c)
#define IO       (TIP_CODES_READ | TIP_CODES_WRITE)
#define ABOUT_FD (IO | TIP_CODES_DUP | BIT(CLOSE) | BIT(SPLICE) | BIT(FCNTL) | BIT(IOCTL))
#define PATHS                                                                                      \
	(BIT(LINK) | BIT(LINKAT) | BIT(SYMLINK) | BIT(SYMLINKAT) | BIT(RENAME) | BIT(RENAMEAT) |   \
	 BIT(RENAMEAT2) | BIT(UNLINK) | BIT(UNLINKAT) | BIT(RMDIR) | BIT(MKDIR) | BIT(MKDIRAT) |   \
	 BIT(CHMOD) | BIT(FCHMOD) | BIT(FCHMODAT) | BIT(FCHMODAT2) | BIT(CHOWN) | BIT(LCHOWN) |    \
	 BIT(FCHOWN) | BIT(FCHOWNAT) | BIT(CHDIR) | BIT(FCHDIR) | BIT(USERFAULTFD))

static const char *category_of_fd(struct tip_extract *x)
{
	switch (tip_extract_fd_kind(x)) {
	case 'f':
	case 'd': return "file";
	case '4':
	case '6': return "net";
	case 'p':
	case 'e':
	case 's':
	case 'i':
	case 'u': return "ipc";
	default: return "unknown";
	}
}

static void evt_category(struct tip_extract *x, const struct tip_field_ref *ref,
			 struct tip_value *out)
{
	static const struct {
		tip_codes codes;
		const char *name;
	} categories[] = {
		{TIP_CODES_OPEN | TIP_CODES_MOUNT | PATHS, "file"},
		{TIP_CODES_SOCK | BIT(SOCKET) | BIT(SHUTDOWN), "net"},
		{BIT(SOCKETPAIR) | BIT(PIPE) | BIT(PIPE2), "IPC"},
		{TIP_CODES_CRED | TIP_CODES_SETID, "user"},
		{TIP_CODES_SIGNAL, "signal"},
		{TIP_CODES_MMAP | BIT(MEMFD_CREATE), "memory"},
		{TIP_CODES_MODULE | BIT(DELETE_MODULE) | BIT(BPF) | BIT(MKNOD) | BIT(MKNODAT) |
			 BIT(OTHER),
		 "other"},
	};
	tip_codes bit = TIP_CODE_BIT(x->code);

	if (bit & ABOUT_FD) {
		tip_value_str(out, category_of_fd(x));
		return;
	}
	for (size_t i = 0; i < TIP_ARRAY_SIZE(categories); i++) {
		if (categories[i].codes & bit) {
			tip_value_str(out, categories[i].name);
			return;
		}
	}
	tip_value_str(out, "process");
}

static int64_t event_ret(const struct tip_extract *x)
{
	if (x->code == TIP_CODE_CLONE)
		return x->in->ev->fork->child.tgid;
	return x->in->ev->hdr->ret;
}

enum { SINCE_FIRST, SINCE_LAST };

/* ns since the first event, or the one before, that rules were held against. */
static void evt_since(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	uint64_t from = ref->field->a == SINCE_FIRST ? x->first_ns : x->last_ns;
	uint64_t ns = x->in->time_ns > from ? x->in->time_ns - from : 0;

	switch (ref->field->b) {
	case RAW_S: ns /= TIP_NSEC_PER_SEC; break;
	case RAW_NS: ns %= TIP_NSEC_PER_SEC; break;
	default: break;
	}
	tip_value_int(out, (int64_t)ns);
}

enum { ERROR_FILE, ERROR_NET, ERROR_MEMORY, ERROR_OTHER };

/* By the descriptor, if the call has one that is known. */
static uint32_t error_kind(struct tip_extract *x)
{
	tip_codes bit = TIP_CODE_BIT(x->code);

	switch (tip_extract_fd_kind(x)) {
	case 'f':
	case 'd': return ERROR_FILE;
	case '4':
	case '6':
	case 'u': return ERROR_NET;
	case '\0': break;
	default: return ERROR_OTHER;
	}
	return bit & TIP_CODES_OPEN                         ? ERROR_FILE
	       : bit & (BIT(CONNECT) | BIT(ACCEPT))         ? ERROR_NET
	       : bit & (TIP_CODES_MMAP | BIT(MEMFD_CREATE)) ? ERROR_MEMORY
							    : ERROR_OTHER;
}

static void evt_count_error(struct tip_extract *x, const struct tip_field_ref *ref,
			    struct tip_value *out)
{
	if (error_kind(x) == ref->field->a)
		tip_value_int(out, event_ret(x) < 0);
}

enum { RES_NAME, RES_RAW, RES_FAILED };

static void evt_res(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	int64_t ret = event_ret(x);

	switch (ref->field->a) {
	case RES_NAME: tip_value_str(out, tip_errno_name(ret)); break;
	case RES_RAW: tip_value_int(out, ret); break;
	default: tip_value_int(out, ret < 0);
	}
}

static void evt_is_async(struct tip_extract *x, const struct tip_field_ref *ref,
			 struct tip_value *out)
{
	tip_value_int(out, !!(x->in->ev->hdr->flags & TIP_EVF_ASKED));
}

static void evt_one(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_value_int(out, ref->field->a);
}

enum { OPEN_READ, OPEN_WRITE, OPEN_EXEC, OPEN_CREATE };

static void evt_is_open(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	const struct tip_ev_open *o;
	unsigned int access;

	/* asked of another event, the answer is no rather than nothing */
	if (!(TIP_CODES_OPEN & TIP_CODE_BIT(x->code))) {
		tip_value_int(out, 0);
		return;
	}
	o = x->in->ev->open.data;
	access = o->oflags & O_ACCMODE;
	switch (ref->field->a) {
	case OPEN_READ: tip_value_int(out, access == O_RDONLY || access == O_RDWR); break;
	case OPEN_WRITE: tip_value_int(out, access == O_WRONLY || access == O_RDWR); break;
	case OPEN_EXEC:
		/* O_TMPFILE has O_DIRECTORY in it */
		tip_value_int(out,
			      ((o->oflags & O_CREAT) || (o->oflags & __O_TMPFILE) == __O_TMPFILE) &&
				      (o->mode & 0111));
		break;
	case OPEN_CREATE: tip_value_int(out, !!(o->file_flags & TIP_FILE_CREATED)); break;
	default: break;
	}
}

static void evt_arg(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	if (ref->index < 0)
		tip_extract_event_arg(x, ref->arg, ref->field->a, out);
	else
		tip_extract_event_arg_at(x, ref->index, ref->field->a, out);
}

static void evt_args(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_extract_event_args(x, out);
}

enum { IO_ANY, IO_READ, IO_WRITE };

static void evt_is_io(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	static const tip_codes io[] = {[IO_ANY] = TIP_CODES_READ | TIP_CODES_WRITE,
				       [IO_READ] = TIP_CODES_READ,
				       [IO_WRITE] = TIP_CODES_WRITE};

	tip_value_int(out, (io[ref->field->a] & TIP_CODE_BIT(x->code)) != 0);
}

static void evt_io_dir(struct tip_extract *x, const struct tip_field_ref *ref,
		       struct tip_value *out)
{
	if (IO & TIP_CODE_BIT(x->code))
		tip_value_str(out, TIP_CODES_READ & TIP_CODE_BIT(x->code) ? "r" : "w");
}

static void evt_is_wait(struct tip_extract *x, const struct tip_field_ref *ref,
			struct tip_value *out)
{
	static const char *const waits[] = {"select", "poll", "ppoll", "epoll_wait", "nanosleep"};
	bool is = false;

	for (size_t i = 0; x->code == TIP_CODE_OTHER && i < TIP_ARRAY_SIZE(waits); i++)
		is |= strcmp(tip_event_shown(x->in->ev, x->code), waits[i]) == 0;
	tip_value_int(out, is);
}

static void evt_is_syslog(struct tip_extract *x, const struct tip_field_ref *ref,
			  struct tip_value *out)
{
	struct tip_value name = {0};

	if (TIP_CODES_WRITE & TIP_CODE_BIT(x->code))
		tip_extract_fd_name(x, &name);
	tip_value_int(out, name.set && strstr(name.str.s, "/dev/log"));
}

enum { BUFFER_DATA, BUFFER_LEN };

static void evt_buffer(struct tip_extract *x, const struct tip_field_ref *ref,
		       struct tip_value *out)
{
	int64_t ret = x->in->ev->hdr->ret;

	if (ref->field->a == BUFFER_DATA)
		tip_value_strn(out, x->in->ev->call.text[TIP_TEXT_DATA],
			       x->in->ev->call.data->text_len[TIP_TEXT_DATA]);
	else if (ret >= 0)
		tip_value_int(out, ret);
}

#define ALL TIP_CODES_ALL

static const struct tip_field fields[] = {
	TIP_FIELD("evt.num", TIP_T_UINT, 0, ALL, evt_num, 0, 0, "number of the event"),
	TIP_FIELD("evt.cpu", TIP_T_INT, 0, ALL, evt_cpu, 0, 0, "number of the CPU"),
	TIP_FIELD("evt.time", TIP_T_STRING, 0, ALL, evt_time, CLOCK_HMS, 0,
		  "local time with nanoseconds"),
	TIP_FIELD("evt.time.s", TIP_T_STRING, 0, ALL, evt_time, CLOCK_HMS_S, 0,
		  "local time, seconds"),
	TIP_FIELD("evt.time.iso8601", TIP_T_STRING, 0, ALL, evt_time, CLOCK_ISO, 0,
		  "UTC time, ISO 8601"),
	TIP_FIELD("evt.datetime", TIP_T_STRING, 0, ALL, evt_time, CLOCK_DATE, 0,
		  "local date and time"),
	TIP_FIELD("evt.datetime.s", TIP_T_STRING, 0, ALL, evt_time, CLOCK_DATE_S, 0,
		  "local date and time, seconds"),
	TIP_FIELD("evt.rawtime", TIP_T_ABSTIME, 0, ALL, evt_rawtime, RAW_ALL, 0,
		  "ns since the epoch"),
	TIP_FIELD("evt.rawtime.s", TIP_T_ABSTIME, 0, ALL, evt_rawtime, RAW_S, 0,
		  "its whole seconds"),
	TIP_FIELD("evt.rawtime.ns", TIP_T_ABSTIME, 0, ALL, evt_rawtime, RAW_NS, 0,
		  "its nanoseconds"),
	TIP_FIELD("evt.source", TIP_T_STRING, 0, ALL, evt_text, 0, 0,
		  "source of the event: syscall"),
	{.name = "evt.dir",
	 .type = TIP_T_STRING,
	 .codes = ALL,
	 .get = evt_text,
	 .a = 1,
	 .desc = "always '<': there are exit events only",
	 .deprecated = "there are exit events only: evt.dir is always '<'"},
	TIP_FIELD("evt.hostname", TIP_T_STRING, 0, ALL, evt_hostname, 0, 0, "name of this host"),
	TIP_FIELD("evt.type", TIP_T_STRING, 0, ALL, evt_type, 0, 0,
		  "name of the event: openat, execve, ..."),
	TIP_FIELD("syscall.type", TIP_T_STRING, 0, ALL, evt_type, 1, 0, "name of the system call"),
	TIP_FIELD("evt.type.is", TIP_T_UINT, TIP_ARG_NAME_REQ, ALL, evt_type_is, 0, 0,
		  "1 if the event has that name"),
	TIP_FIELD("evt.category", TIP_T_STRING, 0, ALL, evt_category, 0, 0,
		  "file, net, IPC, process, user, signal, memory or other; of a call about a "
		  "descriptor "
		  "file, net, ipc or unknown, by what it is"),
	TIP_FIELD("evt.res", TIP_T_STRING, 0, ALL, evt_res, RES_NAME, 0,
		  "SUCCESS or the errno's name"),
	TIP_FIELD("evt.rawres", TIP_T_INT, 0, ALL, evt_res, RES_RAW, 0, "result as a number"),
	TIP_FIELD("evt.failed", TIP_T_BOOL, 0, ALL, evt_res, RES_FAILED, 0, "the call failed"),
	TIP_FIELD("evt.count", TIP_T_UINT, 0, ALL, evt_one, 1, 0, "always 1"),
	TIP_FIELD("evt.count.error", TIP_T_UINT, 0, ALL, evt_res, RES_FAILED, 0,
		  "1 if the call failed, else 0"),
	TIP_FIELD("evt.count.error.file", TIP_T_UINT, 0, ALL, evt_count_error, ERROR_FILE, 0,
		  "of a call about a file: 1 if it failed, else 0"),
	TIP_FIELD("evt.count.error.net", TIP_T_UINT, 0, ALL, evt_count_error, ERROR_NET, 0,
		  "of a call about a socket: 1 if it failed, else 0"),
	TIP_FIELD("evt.count.error.memory", TIP_T_UINT, 0, ALL, evt_count_error, ERROR_MEMORY, 0,
		  "of a call about memory: 1 if it failed, else 0"),
	TIP_FIELD("evt.count.error.other", TIP_T_UINT, 0, ALL, evt_count_error, ERROR_OTHER, 0,
		  "of a call about something else: 1 if it failed, else 0"),
	TIP_FIELD("evt.count.exit", TIP_T_UINT, 0, ALL, evt_one, 1, 0,
		  "always 1: there are exit events only"),
	TIP_FIELD("evt.reltime", TIP_T_RELTIME, 0, ALL, evt_since, SINCE_FIRST, RAW_ALL,
		  "ns since the first event that rules were held against"),
	TIP_FIELD("evt.reltime.s", TIP_T_RELTIME, 0, ALL, evt_since, SINCE_FIRST, RAW_S,
		  "its whole seconds"),
	TIP_FIELD("evt.reltime.ns", TIP_T_RELTIME, 0, ALL, evt_since, SINCE_FIRST, RAW_NS,
		  "its nanoseconds"),
	TIP_FIELD("evt.deltatime", TIP_T_RELTIME, 0, ALL, evt_since, SINCE_LAST, RAW_ALL,
		  "ns since the event before that rules were held against"),
	TIP_FIELD("evt.deltatime.s", TIP_T_RELTIME, 0, ALL, evt_since, SINCE_LAST, RAW_S,
		  "its whole seconds"),
	TIP_FIELD("evt.deltatime.ns", TIP_T_RELTIME, 0, ALL, evt_since, SINCE_LAST, RAW_NS,
		  "its nanoseconds"),
	TIP_FIELD("evt.is_async", TIP_T_BOOL, 0, ALL, evt_is_async, 0, 0,
		  "io_uring was asked to do it, and how that ended is not known"),
	TIP_FIELD("evt.is_io", TIP_T_BOOL, 0, ALL, evt_is_io, IO_ANY, 0, "reads or writes"),
	TIP_FIELD("evt.is_io_read", TIP_T_BOOL, 0, ALL, evt_is_io, IO_READ, 0, "reads"),
	TIP_FIELD("evt.is_io_write", TIP_T_BOOL, 0, ALL, evt_is_io, IO_WRITE, 0, "writes"),
	TIP_FIELD("evt.io_dir", TIP_T_STRING, 0, IO, evt_io_dir, 0, 0, "'r' or 'w'"),
	TIP_FIELD("evt.buffer", TIP_T_BYTES, 0, IO, evt_buffer, BUFFER_DATA, 0,
		  "the first 80 bytes that were read or written"),
	TIP_FIELD("evt.buflen", TIP_T_UINT, 0, IO, evt_buffer, BUFFER_LEN, 0,
		  "bytes that were read or written"),
	TIP_FIELD("evt.is_wait", TIP_T_BOOL, 0, ALL, evt_is_wait, 0, 0,
		  "the call waits: select, poll, ppoll, epoll_wait, nanosleep"),
	TIP_FIELD("evt.is_syslog", TIP_T_BOOL, 0, ALL, evt_is_syslog, 0, 0, "writes to /dev/log"),
	TIP_FIELD("evt.is_open_read", TIP_T_BOOL, 0, ALL, evt_is_open, OPEN_READ, 0,
		  "open for reading"),
	TIP_FIELD("evt.is_open_write", TIP_T_BOOL, 0, ALL, evt_is_open, OPEN_WRITE, 0,
		  "open for writing"),
	TIP_FIELD("evt.is_open_exec", TIP_T_BOOL, 0, ALL, evt_is_open, OPEN_EXEC, 0,
		  "creates a file with execute permission"),
	TIP_FIELD("evt.is_open_create", TIP_T_BOOL, 0, ALL, evt_is_open, OPEN_CREATE, 0,
		  "the open made the file"),
	TIP_FIELD("evt.arg", TIP_T_STRING, TIP_ARG_EVENT, ALL, evt_arg, 0, 0,
		  "an argument of the event, by name or by number from 0"),
	TIP_FIELD("evt.rawarg", TIP_T_STRING, TIP_ARG_EVENT, ALL, evt_arg, 1, 0,
		  "the same as a number, where it has a name too"),
	TIP_FIELD("evt.args", TIP_T_STRING, 0, ALL, evt_args, 0, 0, "all arguments of the event"),
	TIP_FIELD("evt.info", TIP_T_STRING, 0, ALL, evt_args, 0, 0, "all arguments of the event"),
};

const struct tip_field_table tip_fields_evt = {fields, TIP_ARRAY_SIZE(fields)};
