/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/mem.h"
#include "detect/field.h"

/* fd.*: the file or the socket that the event is about. */

#define OPEN  TIP_CODES_OPEN
#define SOCK  TIP_CODES_SOCK
#define FILES (OPEN | TIP_CODES_FILE)
#define DESC  TIP_CODES_DESC
#define FD    (FILES | SOCK | DESC)
/* EINPROGRESS: a non-blocking connect that is under way */
#define CONNECTING(ret) ((ret) == 0 || (ret) == -EINPROGRESS)

static bool is_open(const struct tip_extract *x)
{
	return OPEN & TIP_CODE_BIT(x->code);
}

static bool is_desc(const struct tip_extract *x)
{
	return DESC & TIP_CODE_BIT(x->code);
}

static bool is_sock(const struct tip_extract *x)
{
	return (SOCK & TIP_CODE_BIT(x->code)) ||
	       (is_desc(x) && x->in->ev->call.data->sock.sock_ino);
}

/* A call with a descriptor of a file: where its path stands, NULL: there is none. */
static const char *call_path(const struct tip_extract *x)
{
	const struct tip_event *ev = x->in->ev;

	if (!((TIP_CODES_FILE | DESC) & TIP_CODE_BIT(x->code)) || is_sock(x))
		return NULL;
	return ev->call.data->ino ? ev->call.text[TIP_TEXT_FILE] : NULL;
}

const struct tip_ev_sock *tip_extract_sock(const struct tip_extract *x)
{
	return is_desc(x) ? &x->in->ev->call.data->sock : x->in->ev->sock.data;
}

static const char *sock_path(const struct tip_extract *x)
{
	return is_desc(x) ? x->in->ev->call.text[TIP_TEXT_FILE] : x->in->ev->sock.path;
}

/*
 * Is this end the server? A call on a socket that is open already does not say how it came about:
 * datagrams go from the client to the server, and of a connection the server has the lower port.
 */
static bool is_server(const struct tip_extract *x)
{
	if (!is_desc(x))
		return x->code != TIP_CODE_CONNECT;
	if (tip_extract_sock(x)->sock_type == SOCK_STREAM)
		return tip_extract_sock(x)->rport &&
		       tip_extract_sock(x)->lport < tip_extract_sock(x)->rport;
	return TIP_CODES_READ & TIP_CODE_BIT(x->code);
}

/* ---- paths ------------------------------------------------------------------------------- */

/*
 * Makes `base` + `name` absolute and takes out ".", ".." and doubled slashes by the letter:
 * symbolic links are not followed, so the result is what was asked for. `out` has room for both and
 * a slash.
 */
static size_t normalise(const char *base, const char *name, char *out)
{
	const char *parts[2] = {name[0] == '/' ? "" : base, name};
	size_t n = 0;

	for (int i = 0; i < 2; i++) {
		const char *p = parts[i];

		while (*p) {
			size_t len;

			while (*p == '/')
				p++;
			len = (size_t)(strchrnul(p, '/') - p);
			if (len == 2 && p[0] == '.' && p[1] == '.') {
				while (n && out[--n] != '/')
					;
			} else if (len && !(len == 1 && p[0] == '.')) {
				out[n++] = '/';
				memcpy(out + n, p, len);
				n += len;
			}
			p += len;
		}
	}
	if (!n)
		out[n++] = '/';
	out[n] = '\0';
	return n;
}

void tip_extract_path(struct tip_extract *x, const char *base, const char *name,
		      struct tip_value *out)
{
	char *s;

	/* a relative name whose folder is not known stays as it is: better than a lie */
	if (!name[0] || (name[0] != '/' && !base[0])) {
		tip_value_str(out, name);
		return;
	}
	s = tip_scratch_alloc(x->scratch, strlen(name) + strlen(base) + 3);
	tip_value_strn(out, s, normalise(base, name, s));
}

static void open_path(struct tip_extract *x, struct tip_value *out)
{
	const char *name = x->in->ev->open.name, *base = x->in->ev->open.base;

	if (x->path.set) {
		*out = x->path;
		return;
	}
	if (x->code == TIP_CODE_OPEN_BY_HANDLE_AT) {
		/* no name was given: what was opened, if anything */
		if (x->in->ev->open.real[0])
			tip_value_str(out, x->in->ev->open.real);
		return;
	}
	tip_extract_path(x, base, name, out);
	x->path = *out;
}

/* A socket without another end. */
static bool is_alone(const struct tip_extract *x)
{
	return x->code == TIP_CODE_BIND || x->code == TIP_CODE_LISTEN ||
	       (is_desc(x) && !tip_extract_sock(x)->rport);
}

static void tuple(struct tip_extract *x, struct tip_value *out)
{
	const struct tip_ev_sock *s = tip_extract_sock(x);
	char l[INET6_ADDRSTRLEN] = "", r[INET6_ADDRSTRLEN] = "";
	if (s->family == AF_UNIX) {
		tip_value_str(out, sock_path(x));
		return;
	}
	if (s->family != AF_INET && s->family != AF_INET6)
		return;
	inet_ntop(s->family, s->laddr, l, sizeof(l));
	inet_ntop(s->family, s->raddr, r, sizeof(r));
	if (is_alone(x))
		tip_value_fmt(x, out, "%s:%u", l, s->lport);
	else if (is_server(x))
		tip_value_fmt(x, out, "%s:%u->%s:%u", r, s->rport, l, s->lport);
	else
		tip_value_fmt(x, out, "%s:%u->%s:%u", l, s->lport, r, s->rport);
}

void tip_extract_fd_name(struct tip_extract *x, struct tip_value *out)
{
	if (is_open(x))
		open_path(x, out);
	else if (is_sock(x))
		tuple(x, out);
	else if (call_path(x))
		tip_value_str(out, call_path(x));
}

enum { NAME_FULL, NAME_RAW, NAME_DIRECTORY, NAME_FILE, NAME_REAL, NAME_HOST };

static void fd_name(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	struct tip_value full = {0};
	const char *slash;

	switch (ref->field->a) {
	case NAME_FULL: tip_extract_fd_name(x, out); return;
	case NAME_RAW:
		if (is_open(x) && x->code != TIP_CODE_OPEN_BY_HANDLE_AT)
			tip_value_str(out, x->in->ev->open.name);
		return;
	case NAME_REAL:
		if (is_open(x) && x->in->ev->open.real[0])
			tip_value_str(out, x->in->ev->open.real);
		else if (call_path(x))
			tip_value_str(out, call_path(x));
		return;
	case NAME_HOST:
		if (x->in->ev->open.host[0])
			tip_value_str(out, x->in->ev->open.host);
		return;
	default: break;
	}
	if (is_sock(x))
		return;
	tip_extract_fd_name(x, &full);
	if (!full.set)
		return;
	slash = memrchr(full.str.s, '/', full.str.len);
	if (!slash)
		return;
	if (ref->field->a == NAME_FILE) {
		tip_value_str(out, slash + 1);
	} else {
		size_t len = slash == full.str.s ? 1 : (size_t)(slash - full.str.s);
		char *s = tip_scratch_alloc(x->scratch, len + 1);

		memcpy(s, full.str.s, len);
		s[len] = '\0';
		tip_value_strn(out, s, len);
	}
}

/* The name, behind the container that it is in. */
static void fd_in_container(struct tip_extract *x, const struct tip_field_ref *ref,
			    struct tip_value *out)
{
	const struct tip_process *p = x->in->proc;
	struct tip_value name = {0};

	fd_name(x, ref, &name);
	if (p && name.set)
		tip_value_fmt(x, out, "%.12s:%s", *p->container_id ? p->container_id : "host",
			      name.str.s);
}

/* ---- numbers and kinds --------------------------------------------------------------------- */

static void fd_num(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_event *ev = x->in->ev;

	/* Also of what io_uring put into its own table: rules ask whether an open succeeded. */
	if (is_open(x))
		tip_value_int(out, ev->hdr->ret < 0 ? -1 : ev->hdr->ret);
	else if (ev->hdr->flags & TIP_EVF_DIRECT)
		return;
	else if (is_desc(x))
		tip_value_int(out, ev->call.data->fd < 0 ? -1 : ev->call.data->fd);
	else if (is_sock(x))
		tip_value_int(out, tip_extract_sock(x)->fd);
	else if (x->code == TIP_CODE_FINIT_MODULE)
		tip_value_int(out, (int32_t)ev->call.data->args[0]);
	else if (x->code == TIP_CODE_MMAP)
		tip_value_int(out, (int32_t)ev->call.data->args[4]);
}

enum { TYPE_NAME, TYPE_CHAR, TYPE_FAMILY, TYPE_L4 };

const char *tip_file_kind_text(uint32_t kind, bool name)
{
	static const char *const texts[TIP_KIND_MAX][2] = {
		[TIP_KIND_FILE] = {"f", "file"},
		[TIP_KIND_EVENTFD] = {"e", "event"},
		[TIP_KIND_EPOLL] = {"l", "eventpoll"},
		[TIP_KIND_SIGNALFD] = {"s", "signalfd"},
		[TIP_KIND_TIMERFD] = {"t", "timerfd"},
		[TIP_KIND_INOTIFY] = {"i", "inotify"},
		[TIP_KIND_IO_URING] = {"r", "io_uring"},
		[TIP_KIND_USERFAULTFD] = {"u", "userfaultfd"},
		[TIP_KIND_PIPE] = {"p", "pipe"},
		[TIP_KIND_BPF] = {"b", "bpf"},
		[TIP_KIND_MEMFD] = {"m", "memfd"},
		[TIP_KIND_PIDFD] = {"P", "pidfd"},
		[TIP_KIND_UNKNOWN] = {"o", "unknown"},
	};

	return kind < TIP_KIND_MAX ? texts[kind][name] : NULL;
}

/* An open says what it asks for; a descriptor, what it is. */
static const char *file_type(const struct tip_extract *x, bool name)
{
	const struct tip_event *ev = x->in->ev;
	const uint32_t mode = is_open(x) ? 0 : ev->call.data->file_mode;
	const uint32_t asked = is_open(x) ? ev->open.data->oflags & __O_TMPFILE : 0;

	if (S_ISDIR(mode) || asked == O_DIRECTORY)
		return name ? "directory" : "d";
	return tip_file_kind_text(is_open(x) ? TIP_KIND_FILE : ev->call.data->file_kind, name);
}

static const char *l4proto(const struct tip_ev_sock *s)
{
	if (s->family != AF_INET && s->family != AF_INET6)
		return NULL;
	switch (s->protocol) {
	case IPPROTO_TCP: return "tcp";
	case IPPROTO_UDP: return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6: return "icmp";
	default: break;
	}
	return s->sock_type == SOCK_STREAM  ? "tcp"
	       : s->sock_type == SOCK_DGRAM ? "udp"
	       : s->sock_type == SOCK_RAW   ? "raw"
					    : "<NA>";
}

static void fd_type(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	static const struct {
		uint16_t family;
		const char *name, *ch, *sockfamily;
	} families[] = {{AF_INET, "ipv4", "4", "ip"},
			{AF_INET6, "ipv6", "6", "ip"},
			{AF_UNIX, "unix", "u", "unix"},
			{AF_NETLINK, "netlink", "n", NULL}};
	uint32_t what = ref->field->a;
	const char *text = NULL;

	if (is_open(x) || call_path(x)) {
		if (what == TYPE_NAME || what == TYPE_CHAR)
			tip_value_str(out, file_type(x, what == TYPE_NAME));
		return;
	}
	if (!is_sock(x))
		return;
	if (what == TYPE_L4) {
		text = l4proto(tip_extract_sock(x));
	} else {
		for (size_t i = 0; i < TIP_ARRAY_SIZE(families); i++)
			if (families[i].family == tip_extract_sock(x)->family)
				text = what == TYPE_NAME   ? families[i].name
				       : what == TYPE_CHAR ? families[i].ch
							   : families[i].sockfamily;
	}
	if (text)
		tip_value_str(out, text);
}

enum { FILE_DEV, FILE_MAJOR, FILE_MINOR, FILE_INO };

static void fd_file(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_event *ev = x->in->ev;
	uint64_t ino;
	uint32_t dev;

	if (is_open(x) && (ev->hdr->ret >= 0 || (ev->hdr->flags & TIP_EVF_DENIED))) {
		dev = ev->open.data->dev;
		ino = ev->open.data->ino;
	} else if (call_path(x)) {
		dev = ev->call.data->dev;
		ino = ev->call.data->ino;
	} else {
		return;
	}
	switch (ref->field->a) {
	case FILE_DEV: tip_value_int(out, dev); break;
	case FILE_MAJOR: tip_value_int(out, dev >> 20); break;
	case FILE_MINOR: tip_value_int(out, dev & 0xfffff); break;
	default: tip_value_int(out, (int64_t)ino);
	}
}

enum { LAYER_UPPER, LAYER_LOWER };

static void fd_layer(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	uint16_t flags;

	if (x->in->ev->hdr->ret < 0)
		return;
	flags = x->in->ev->open.data->file_flags;
	tip_value_int(out,
		      !!(flags & (ref->field->a == LAYER_UPPER ? TIP_FILE_UPPER : TIP_FILE_LOWER)));
}

/* Thread and number, as one text. */
static void fd_uid(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	struct tip_value num = {0};

	fd_num(x, ref, &num);
	if (num.set && num.i >= 0)
		tip_value_fmt(x, out, "%u%d", x->in->ev->hdr->tid, (int)num.i);
}

/* ---- addresses ------------------------------------------------------------------------------ */

/* 1: the remote end, 0: the local one, -1: that end does not exist (a listener has no client). */
static int which_end(const struct tip_extract *x, uint32_t end)
{
	bool alone = is_alone(x);
	bool server = alone || is_server(x);

	switch (end) {
	case TIP_END_LOCAL: return 0;
	case TIP_END_SERVER: return server ? 0 : 1;
	case TIP_END_REMOTE: return alone ? -1 : 1;
	default: return alone ? -1 : server ? 1 : 0;
	}
}

static bool inet(const struct tip_extract *x)
{
	return is_sock(x) &&
	       (tip_extract_sock(x)->family == AF_INET || tip_extract_sock(x)->family == AF_INET6);
}

static void ip_value(const struct tip_extract *x, int remote, struct tip_value *out)
{
	const struct tip_ev_sock *s = tip_extract_sock(x);
	bool v4 = s->family == AF_INET;

	out->set = true;
	out->ip.family = (uint8_t)s->family;
	out->ip.bits = v4 ? 32 : 128;
	memset(out->ip.addr, 0, sizeof(out->ip.addr));
	memcpy(out->ip.addr, remote ? s->raddr : s->laddr, v4 ? 4 : 16);
}

bool tip_extract_end_ip(const struct tip_extract *x, enum tip_end_of end, struct tip_ip *ip)
{
	struct tip_value v;
	int which = inet(x) ? which_end(x, end) : -1;

	if (which < 0)
		return false;
	ip_value(x, which, &v);
	*ip = v.ip;
	return true;
}

bool tip_extract_end_port(const struct tip_extract *x, enum tip_end_of end, uint16_t *port)
{
	int which = inet(x) ? which_end(x, end) : -1;

	if (which >= 0)
		*port = which ? tip_extract_sock(x)->rport : tip_extract_sock(x)->lport;
	return which >= 0;
}

static void fd_ip(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	int end;

	if (!inet(x))
		return;
	if (ref->field->a == TIP_END_ANY && which_end(x, TIP_END_REMOTE) == 1) {
		struct tip_value *items = tip_value_items(x, out, 2);

		ip_value(x, 0, &items[0]);
		ip_value(x, 1, &items[1]);
		return;
	}
	end = ref->field->a == TIP_END_ANY ? 0 : which_end(x, ref->field->a);
	if (end >= 0)
		ip_value(x, end, out);
}

static void fd_port(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	int end;

	if (!inet(x))
		return;
	if (ref->field->a == TIP_END_ANY && which_end(x, TIP_END_REMOTE) == 1) {
		struct tip_value *items = tip_value_items(x, out, 2);

		tip_value_int(&items[0], tip_extract_sock(x)->lport);
		tip_value_int(&items[1], tip_extract_sock(x)->rport);
		return;
	}
	end = ref->field->a == TIP_END_ANY ? 0 : which_end(x, ref->field->a);
	if (end >= 0)
		tip_value_int(out, end ? tip_extract_sock(x)->rport : tip_extract_sock(x)->lport);
}

enum { STATE_SERVER, STATE_CONNECTED, STATE_RENAMED };

/* Of a socket that was open before. Only datagrams that name their peer can give it a new one. */
static void desc_state(const struct tip_extract *x, uint32_t what, struct tip_value *out)
{
	const tip_codes names = TIP_CODES_SEND | TIP_CODES_RECV;
	bool stream = tip_extract_sock(x)->sock_type == SOCK_STREAM;

	switch (what) {
	case STATE_SERVER: tip_value_int(out, is_server(x)); break;
	case STATE_CONNECTED: tip_value_int(out, tip_extract_sock(x)->rport != 0); break;
	default:
		tip_value_int(out, !stream && (names & TIP_CODE_BIT(x->code)) &&
					   tip_extract_sock(x)->rport);
	}
}

static void fd_state(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	int64_t ret = x->in->ev->hdr->ret;

	if (!is_sock(x))
		return;
	if (is_desc(x)) {
		desc_state(x, ref->field->a, out);
		return;
	}
	switch (ref->field->a) {
	case STATE_SERVER: tip_value_int(out, is_server(x)); break;
	case STATE_CONNECTED:
		tip_value_int(out, x->code == TIP_CODE_ACCEPT
					   ? ret >= 0
					   : x->code == TIP_CODE_CONNECT && CONNECTING(ret));
		break;
	default: tip_value_int(out, x->code == TIP_CODE_CONNECT && CONNECTING(ret));
	}
}

char tip_extract_fd_kind(struct tip_extract *x)
{
	const struct tip_field_ref type = {.field = &(struct tip_field){.a = TYPE_CHAR}};
	struct tip_value kind = {0};

	if (TIP_CODE_BIT(x->code) & FD)
		fd_type(x, &type, &kind);
	return kind.set ? kind.str.s[0] : '\0';
}

void tip_extract_fd_shown(struct tip_extract *x, struct tip_value *out)
{
	const char *proto = is_sock(x) ? l4proto(tip_extract_sock(x)) : NULL;
	const char kind = tip_extract_fd_kind(x);
	struct tip_value name = {0};

	tip_extract_fd_name(x, &name);
	if (kind)
		tip_value_fmt(x, out, "<%c%.*s>%s", kind, proto && *proto != '<',
			      proto ? proto : "", name.set ? name.str.s : "");
}

static const struct tip_field fields[] = {
	TIP_FIELD("fd.num", TIP_T_INT, 0, FD, fd_num, 0, 0,
		  "number of the descriptor, -1: the open failed"),
	TIP_FIELD("fd.name", TIP_T_PATH, 0, FD, fd_name, NAME_FULL, 0,
		  "absolute path as asked for (links not followed), or the connection"),
	TIP_FIELD("fd.nameraw", TIP_T_PATH, 0, OPEN, fd_name, NAME_RAW, 0,
		  "the path as it was given"),
	TIP_FIELD("fd.directory", TIP_T_PATH, 0, FILES | DESC, fd_name, NAME_DIRECTORY, 0,
		  "folder part of fd.name"),
	TIP_FIELD("fd.filename", TIP_T_PATH, 0, FILES | DESC, fd_name, NAME_FILE, 0,
		  "last component of fd.name"),
	TIP_FIELD("fd.path.real", TIP_T_PATH, 0, FILES | DESC, fd_name, NAME_REAL, 0,
		  "path that the kernel really opened"),
	TIP_FIELD(
		"fd.path.host", TIP_T_PATH, 0, TIP_CODES_OPEN, fd_name, NAME_HOST, 0,
		"path where the system itself has the file that was opened, whatever was bound to "
		"which place since"),
	TIP_FIELD("fd.type", TIP_T_STRING, 0, FD, fd_type, TYPE_NAME, 0,
		  "file, directory, pipe, ipv4, ipv6, unix, netlink, event, eventpoll, signalfd, "
		  "timerfd, inotify, io_uring, userfaultfd, bpf, memfd, pidfd or unknown"),
	TIP_FIELD(
		"fd.typechar", TIP_T_STRING, 0, FD, fd_type, TYPE_CHAR, 0,
		"the same as a letter: f, d, p, 4, 6, u, n, e, l, s, t, i, r, u (userfaultfd), b, "
		"m, P, o"),
	TIP_FIELD("fd.sockfamily", TIP_T_STRING, 0, SOCK | DESC, fd_type, TYPE_FAMILY, 0,
		  "ip or unix"),
	TIP_FIELD("fd.l4proto", TIP_T_STRING, 0, SOCK | DESC, fd_type, TYPE_L4, 0,
		  "tcp, udp, icmp or raw"),
	TIP_FIELD("fd.dev", TIP_T_INT, 0, FILES | DESC, fd_file, FILE_DEV, 0, "device of the file"),
	TIP_FIELD("fd.dev.major", TIP_T_INT, 0, FILES | DESC, fd_file, FILE_MAJOR, 0,
		  "its major number"),
	TIP_FIELD("fd.dev.minor", TIP_T_INT, 0, FILES | DESC, fd_file, FILE_MINOR, 0,
		  "its minor number"),
	TIP_FIELD("fd.ino", TIP_T_INT, 0, FILES | DESC, fd_file, FILE_INO, 0, "inode of the file"),
	TIP_FIELD("fd.uid", TIP_T_STRING, 0, FD, fd_uid, 0, 0,
		  "thread ID and number of the descriptor, one behind the other"),
	TIP_FIELD("fd.is_upper_layer", TIP_T_BOOL, 0, OPEN, fd_layer, LAYER_UPPER, 0,
		  "the file is on overlayfs, in the layer that is written to"),
	TIP_FIELD("fd.is_lower_layer", TIP_T_BOOL, 0, OPEN, fd_layer, LAYER_LOWER, 0,
		  "the file is on overlayfs, in a layer below"),
	TIP_FIELD("fd.containername", TIP_T_STRING, 0, FD, fd_in_container, NAME_FULL, 0,
		  "container.id and fd.name with a colon between"),
	TIP_FIELD("fd.containerdirectory", TIP_T_STRING, 0, FILES | DESC, fd_in_container,
		  NAME_DIRECTORY, 0, "container.id and fd.directory with a colon between"),
	TIP_FIELD("fd.ip", TIP_T_IPADDR, 0, SOCK | DESC, fd_ip, TIP_END_ANY, 0, "either address"),
	TIP_FIELD("fd.cip", TIP_T_IPADDR, 0, SOCK | DESC, fd_ip, TIP_END_CLIENT, 0,
		  "address of the client"),
	TIP_FIELD("fd.sip", TIP_T_IPADDR, 0, SOCK | DESC, fd_ip, TIP_END_SERVER, 0,
		  "address of the server"),
	TIP_FIELD("fd.lip", TIP_T_IPADDR, 0, SOCK | DESC, fd_ip, TIP_END_LOCAL, 0, "local address"),
	TIP_FIELD("fd.rip", TIP_T_IPADDR, 0, SOCK | DESC, fd_ip, TIP_END_REMOTE, 0,
		  "remote address"),
	TIP_FIELD("fd.net", TIP_T_IPNET, 0, SOCK | DESC, fd_ip, TIP_END_ANY, 0,
		  "either address, against a network"),
	TIP_FIELD("fd.cnet", TIP_T_IPNET, 0, SOCK | DESC, fd_ip, TIP_END_CLIENT, 0,
		  "the client's, against a network"),
	TIP_FIELD("fd.snet", TIP_T_IPNET, 0, SOCK | DESC, fd_ip, TIP_END_SERVER, 0,
		  "the server's, against a network"),
	TIP_FIELD("fd.lnet", TIP_T_IPNET, 0, SOCK | DESC, fd_ip, TIP_END_LOCAL, 0,
		  "the local one, against a network"),
	TIP_FIELD("fd.rnet", TIP_T_IPNET, 0, SOCK | DESC, fd_ip, TIP_END_REMOTE, 0,
		  "the remote one, against a network"),
	TIP_FIELD("fd.port", TIP_T_PORT, 0, SOCK | DESC, fd_port, TIP_END_ANY, 0, "either port"),
	TIP_FIELD("fd.cport", TIP_T_PORT, 0, SOCK | DESC, fd_port, TIP_END_CLIENT, 0,
		  "port of the client"),
	TIP_FIELD("fd.sport", TIP_T_PORT, 0, SOCK | DESC, fd_port, TIP_END_SERVER, 0,
		  "port of the server"),
	TIP_FIELD("fd.lport", TIP_T_PORT, 0, SOCK | DESC, fd_port, TIP_END_LOCAL, 0, "local port"),
	TIP_FIELD("fd.rport", TIP_T_PORT, 0, SOCK | DESC, fd_port, TIP_END_REMOTE, 0,
		  "remote port"),
	TIP_FIELD("fd.is_server", TIP_T_BOOL, 0, SOCK | DESC, fd_state, STATE_SERVER, 0,
		  "this end is the server"),
	TIP_FIELD("fd.connected", TIP_T_BOOL, 0, SOCK | DESC, fd_state, STATE_CONNECTED, 0,
		  "connected, or about to"),
	TIP_FIELD("fd.name_changed", TIP_T_BOOL, 0, SOCK | DESC, fd_state, STATE_RENAMED, 0,
		  "the event gave the socket a new peer"),
};

const struct tip_field_table tip_fields_fd = {fields, TIP_ARRAY_SIZE(fields)};
