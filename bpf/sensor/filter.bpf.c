/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The prefilter's decisions. Functions of their own for the verifier, which looks at each once, and
 * not behind every branch of the programs that ask.
 *
 * A name decides only where the letters are all there is to it: fd.name is the name without ".",
 * ".." and "//", made absolute. Names with any of that are told, whatever they are.
 */
#include "sensor/filter.h"
#include "lib/image.h"
#include "sensor/call.h"
#include "sensor/socket.h"

#define WORD    sizeof(__u64)
#define EACH(b) (0x0101010101010101ull * (b))

/* The highest bit of each byte of `w` that is `b`. */
static __always_inline __u64 bytes_that_are(__u64 w, __u8 b)
{
	__u64 x = w ^ EACH(b);

	return ~(((x & EACH(0x7f)) + EACH(0x7f)) | x | EACH(0x7f));
}

/*
 * Copies the name, `len` bytes of the record from `start` on, to s->front, and says whether it is
 * plain: equal to what it comes down to, as far as it goes. Eight bytes at a time: of what most
 * opens cost here this is a large part.
 */
static __always_inline bool name_plain(struct tip_scratch *s, const __u32 start, __u32 len)
{
	const __u8 *name = s->rec + start;
	__u64 slashes = 0, dots = 0, bad = 0;
	__u32 last = len - 1;

	for (__u32 i = 0; i < TIP_FILTER_TEXT / WORD; i++) {
		__u64 w, slash, dot, slash1, dot1, slash2;

		if (i * WORD >= len)
			break;
		w = *(const __u64 *)(name + i * WORD);
		if (len - i * WORD < WORD)
			w &= (1ull << 8 * (len - i * WORD)) - 1;
		*(__u64 *)(s->front.text + i * WORD) = w;
		slash = bytes_that_are(w, '/');
		dot = bytes_that_are(w, '.');
		slash1 = slash << 8 | slashes >> 56;
		slash2 = slash << 16 | slashes >> 48;
		dot1 = dot << 8 | dots >> 56;
		bad |= (slash & slash1) | (dot & dot1) | (slash & dot1 & slash2);
		slashes = slash;
		dots = dot;
	}
	if (bad)
		return false;
	/* "/" at the end, and "." as the first or the last component */
	opaque(last);
	if (last >= TIP_FILTER_TEXT || s->front.text[last] == '/')
		return false;
	if (s->front.text[0] == '.' && (last == 0 || s->front.text[1] == '/'))
		return false;
	if (s->front.text[last] == '.' && last > 0) {
		last--;
		opaque(last);
		if (last >= TIP_FILTER_TEXT || s->front.text[last] == '/')
			return false;
	}
	return true;
}

/* The end of the name backwards, with the slash that a relative one has before it, to s->back. */
static __always_inline void name_backwards(struct tip_scratch *s, const __u32 start, __u32 len,
					   bool absolute)
{
	__u32 at = start + len;
	__u32 n = len;

	for (__u32 i = 0; i < TIP_FILTER_SUFFIX / WORD; i++) {
		__u32 from;

		if (i * WORD >= len)
			break;
		/* What is read before the name's first letter is beyond the key's end. */
		at -= WORD;
		from = at;
		opaque(from);
		*(__u64 *)(s->back.text + i * WORD) =
			__builtin_bswap64(*(const __u64 *)(s->rec + (from & TIP_REC_MASK)));
	}
	opaque(n);
	if (!absolute && n < TIP_FILTER_SUFFIX)
		s->back.text[n++] = '/';
	s->back.prefixlen = 64 + 8 * (n < TIP_FILTER_SUFFIX ? n : TIP_FILTER_SUFFIX);
}

/* Clauses that allow a digit this value. */
static __always_inline __u64 allowed(const struct tip_filter *f, __u32 digit, __u32 value)
{
	/* The bound stays where it is used: 6.1 has forgotten an earlier one by then. */
	opaque(value);
	return f->digits[digit][value & (TIP_FILTER_VALUES - 1)];
}

/* Clauses that allow a number of several digits, the first of which has `low` bits. */
static __always_inline __u64 allowed_long(const struct tip_filter *f, __u32 digit, __u32 low,
					  __u32 value)
{
	__u32 more = value >> low >> TIP_FILTER_LONG_BITS;

	if (more > TIP_FILTER_LONG_MORE)
		more = TIP_FILTER_LONG_MORE;
	return allowed(f, digit, value & ((1u << low) - 1)) & allowed(f, digit + 1, value >> low) &
	       allowed(f, digit + 2, more);
}

static __always_inline __u64 allowed_port(const struct tip_filter *f, __u32 port)
{
	return allowed_long(f, TIP_FILTER_PORT, TIP_FILTER_PORT_LOW, port);
}

/* Which of the clauses in `bits` does the user leave? */
static __always_inline __u64 filter_user(const struct tip_filter *f, __u64 bits, __u32 uid)
{
	return bits & f->users ? bits & allowed_long(f, TIP_FILTER_UID, TIP_FILTER_UID_LOW, uid)
			       : bits;
}

/* The same of the current task: what hdr_fill() will say of it. */
static __always_inline __u64 filter_current(const struct tip_filter *f, __u64 bits)
{
	struct tip_ids ids;

	if (!bits || !(bits & f->users))
		return bits;
	task_ids(bpf_get_current_task_btf(), &ids);
	return filter_user(f, bits, ids.uid);
}

/* Clauses that the letters of an absolute name in s->front, `len` bytes, allow an open. */
static __always_inline __u64 allowed_letters(const struct tip_scratch *s,
					     const struct tip_filter *f, __u32 len)
{
	__u32 last = len - 1;

	opaque(last);
	if (last >= TIP_FILTER_TEXT)
		return ~0ull;
	return allowed(f, TIP_FILTER_OPEN_SECOND, s->front.text[1]) |
	       allowed(f, TIP_FILTER_OPEN_LAST, s->front.text[last]);
}

/* Which of the clauses in `bits` do names leave that meet `meets`? */
static __always_inline __u64 slots_met(const struct tip_filter_names *n, __u64 bits,
				       const __u64 *meets, bool absolute)
{
	for (int i = 0; i < TIP_FILTER_SLOTS; i++) {
		__u64 met = (meets[i] ^ n->negated[i]) | n->unnamed[i];

		bits &= absolute ? met : met | n->vague[i];
	}
	return bits;
}

/*
 * Which of them does the name leave, `len` bytes of the record from `start` on? `opens`: whose
 * digits have its letters, NULL: it is no open's.
 */
static __always_inline __u64 filter_name(struct tip_scratch *s, const struct tip_filter_names *n,
					 const struct tip_filter *opens, __u64 bits, __u32 table,
					 __u32 generation, const __u32 start, __u32 len)
{
	const struct tip_filter_match *m;
	__u64 meets[TIP_FILTER_SLOTS] = {};
	bool absolute;
	__u32 end = len;

	if (!len || len >= TIP_FILTER_TEXT || !name_plain(s, start, len))
		return bits;
	absolute = s->front.text[0] == '/';
	if (absolute && opens)
		bits &= allowed_letters(s, opens, len);
	if (absolute && (bits & n->prefixes)) {
		opaque(end);
		if (end >= TIP_FILTER_TEXT)
			return bits;
		s->front.text[end] = 0;
		s->front.prefixlen = 64 + 8 * (end + 1);
		s->front.generation = generation;
		s->front.table = table;
		m = bpf_map_lookup_elem(&filter_names, &s->front);
		for (int i = 0; m && i < TIP_FILTER_SLOTS; i++)
			meets[i] = m->meets[i];
	}
	if (bits & (absolute ? n->suffixes : n->suffixes | n->nears)) {
		name_backwards(s, start, len, absolute);
		s->back.generation = generation;
		s->back.table = table | TIP_FILTER_BACKWARDS;
		m = bpf_map_lookup_elem(&filter_names, &s->back);
		for (int i = 0; m && i < TIP_FILTER_SLOTS; i++)
			meets[i] |= absolute ? m->meets[i] : m->meets[i] | m->near[i];
	}
	return slots_met(n, bits, meets, absolute);
}

/* Those of the clauses in `bits` that do not ask for the name. */
static __always_inline __u64 unnamed(const struct tip_filter_names *n, __u64 bits)
{
	return bits & n->unnamed[0] & n->unnamed[1] & n->unnamed[2];
}

/*
 * May a rule match s->opened, whose arguments are in the record? What the kernel opened by a
 * handle, or put where no number is, has no name or result that rules could be decided on. (It
 * takes a number and not the memory: of a pointer that it is given, 6.1 does not know that it may
 * be a key.)
 */
__noinline int tip_filter_open(__u32 set, __u32 generation)
{
	struct tip_scratch *s = scratch_get(set);
	const __u32 at = TIP_FILTER_AT(generation, TIP_FILTER_OPEN);
	const struct tip_filter *f = bpf_map_lookup_elem(&filters, &at);
	const struct tip_opened *o;
	const struct tip_ev_open *ev;
	__u32 how, flags, rest;
	__u64 bits;

	if (!s || !f)
		return 1;
	o = &s->opened;
	ev = &((const struct tip_open_rec *)s->rec)->ev;
	if (o->flags & TIP_EVF_DIRECT)
		return 1;
	how = ev->syscall & (TIP_FILTER_OPEN_FAILED - 1);
	how |= (o->ret < 0 ? TIP_FILTER_OPEN_FAILED : 0) | (ev->oflags & O_ACCMODE)
								   << TIP_FILTER_OPEN_ACCESS;
	flags = ev->oflags >> TIP_FILTER_FLAGS_FIRST;
	rest = flags >> 2 * TIP_FILTER_FLAG_BITS & (TIP_FILTER_EXEC_MODE - 1);
	if (ev->mode & 0111)
		rest |= TIP_FILTER_EXEC_MODE;
	bits = allowed(f, TIP_FILTER_OPEN_HOW, how) & allowed(f, TIP_FILTER_OPEN_FLAGS, flags) &
	       allowed(f, TIP_FILTER_OPEN_FLAGS + 1, flags >> TIP_FILTER_FLAG_BITS) &
	       allowed(f, TIP_FILTER_OPEN_FLAGS + 2, rest);
	bits = filter_current(f, bits);
	if (!bits)
		return 0;
	if (!o->name || unnamed(&f->path, bits))
		return 1;
	open_name(s);
	return filter_name(s, &f->path, f, bits, TIP_FILTER_OPEN, generation,
			   sizeof(struct tip_open_rec), ev->name_len) != 0;
}

/* ---- sockets ---- */

static __always_inline __u32 result_digit(__s64 ret)
{
	if (ret < 0)
		return ret == -EINPROGRESS ? TIP_FILTER_PENDING : TIP_FILTER_FAILED;
	return ret < TIP_FILTER_MORE ? ret : TIP_FILTER_MORE;
}

static __always_inline bool is_inet(const struct tip_ev_sock *ev)
{
	return ev->family == AF_INET || ev->family == AF_INET6;
}

static __always_inline __u32 sock_kind(const struct tip_ev_sock *ev)
{
	__u32 kind = ev->family == AF_UNIX      ? TIP_FILTER_IS_UNIX
		     : ev->family == AF_INET    ? TIP_FILTER_IS_INET
		     : ev->family == AF_INET6   ? TIP_FILTER_IS_INET6
		     : ev->family == AF_NETLINK ? TIP_FILTER_IS_NETLINK
						: TIP_FILTER_IS_NOTHING;
	__u32 l4 = ev->sock_type == SOCK_STREAM  ? TIP_FILTER_L4_TCP
		   : ev->sock_type == SOCK_DGRAM ? TIP_FILTER_L4_UDP
						 : TIP_FILTER_L4_OTHER;

	if (!is_inet(ev))
		return kind;
	if (ev->protocol == IPPROTO_TCP)
		l4 = TIP_FILTER_L4_TCP;
	else if (ev->protocol == IPPROTO_UDP)
		l4 = TIP_FILTER_L4_UDP;
	else if (ev->protocol == IPPROTO_ICMP || ev->protocol == IPPROTO_ICMPV6)
		l4 = TIP_FILTER_L4_ICMP;
	return kind | l4 << TIP_FILTER_L4;
}

static __always_inline char hex_digit(__u8 value)
{
	return value < 10 ? '0' + value : 'a' + value - 10;
}

/* Which of the clauses in `bits` does the address leave? */
static __always_inline __u64 filter_addr(struct tip_scratch *s, const struct tip_filter *f,
					 __u64 bits, __u32 group, __u32 generation,
					 const __u8 *addr, bool v6)
{
	const struct tip_filter_match *m;
	__u64 meets[TIP_FILTER_SLOTS] = {};
	const __u32 bytes = v6 ? 16 : 4;

	s->front.text[0] = '/';
	s->front.text[1] = v6 ? '6' : '4';
	for (__u32 i = 0; i < 16; i++) {
		if (i == bytes)
			break;
		s->front.text[2 + 2 * i] = hex_digit(addr[i] >> 4);
		s->front.text[3 + 2 * i] = hex_digit(addr[i] & 15);
	}
	s->front.text[v6 ? 34 : 10] = 0;
	s->front.prefixlen = 64 + 8 * (v6 ? 35 : 11);
	s->front.generation = generation;
	s->front.table = group;
	m = bpf_map_lookup_elem(&filter_names, &s->front);
	for (int i = 0; m && i < TIP_FILTER_SLOTS; i++)
		meets[i] = m->meets[i];
	return slots_met(&f->path, bits, meets, true);
}

/* May a rule match the connect, accept, bind or listen that is in the record? */
__noinline int tip_filter_sock(__u32 set, __u32 generation)
{
	struct tip_scratch *s = scratch_get(set);
	const __u32 at = TIP_FILTER_AT(generation, TIP_FILTER_SOCK);
	const struct tip_filter *f = bpf_map_lookup_elem(&filters, &at);
	const struct tip_sock_rec *rec;
	const struct tip_ev_sock *ev;
	__u32 type, kind;
	bool remote;
	__u64 bits;
	__s64 ret;

	if (!s || !f)
		return 1;
	rec = (const struct tip_sock_rec *)s->rec;
	ev = &rec->ev;
	ret = rec->hdr.ret;
	type = rec->hdr.type == TIP_EV_CONNECT  ? TIP_FILTER_CONNECT
	       : rec->hdr.type == TIP_EV_ACCEPT ? TIP_FILTER_ACCEPT
	       : rec->hdr.type == TIP_EV_BIND   ? TIP_FILTER_BIND
						: TIP_FILTER_LISTEN;
	remote = type == TIP_FILTER_CONNECT || type == TIP_FILTER_ACCEPT;
	kind = sock_kind(ev);
	if (type == TIP_FILTER_CONNECT ? !ret || ret == -EINPROGRESS
				       : type == TIP_FILTER_ACCEPT && ret >= 0)
		kind |= TIP_FILTER_CONNECTED;
	bits = allowed(f, TIP_FILTER_NR, type) & allowed(f, TIP_FILTER_NR_HIGH, 0) &
	       allowed(f, TIP_FILTER_RESULT, result_digit(ret)) & allowed(f, TIP_FILTER_FIRST, 0) &
	       allowed(f, TIP_FILTER_KIND, kind);
	if (is_inet(ev))
		bits &= allowed_port(f, remote ? ev->rport : ev->lport);
	bits = filter_user(f, bits, rec->hdr.uid);
	if (!bits)
		return 0;
	if (!is_inet(ev) || unnamed(&f->path, bits))
		return 1;
	return filter_addr(s, f, bits, TIP_FILTER_SOCK, generation, remote ? ev->raddr : ev->laddr,
			   ev->family == AF_INET6) != 0;
}

/* ---- other system calls ---- */

/* The clauses that the numbers of s->called leave: which call it is, its arguments, its result. */
static __always_inline __u64 call_numbers(const struct tip_scratch *s, const struct tip_filter *f,
					  __u8 flags)
{
	const struct tip_called *d = &s->called;
	const __u32 nr = d->call, first = d->args[0];
	__u32 mode;
	__u64 bits;

	bits = allowed(f, TIP_FILTER_NR, nr) &
	       allowed(f, TIP_FILTER_NR_HIGH, nr >> TIP_FILTER_NR_BITS) &
	       allowed(f, TIP_FILTER_RESULT, result_digit(d->ret)) &
	       allowed(f, TIP_FILTER_FIRST, first < 63 ? first : 63);
	if (!TIP_SHAPE_MODE_OF(flags))
		return bits;
	mode = TIP_SHAPE_MODE_OF(flags) == 2 ? d->args[1] : d->args[2];
	return bits & allowed(f, TIP_FILTER_MODE, mode) &
	       allowed(f, TIP_FILTER_MODE + 1, mode >> 6);
}

static __always_inline __u8 call_shape_flags(const struct tip_scratch *s)
{
	__u32 nr = s->called.call;

	opaque(nr);
	return tip_shapes[nr & (TIP_SYSCALLS - 1)].flags;
}

__noinline int tip_filter_call_begin(__u32 set, __u32 generation)
{
	const struct tip_scratch *s = scratch_get(set);
	const __u32 at = TIP_FILTER_AT(generation, TIP_FILTER_CALL);
	const struct tip_filter *f = bpf_map_lookup_elem(&filters, &at);

	return !s || !f || filter_current(f, call_numbers(s, f, call_shape_flags(s))) != 0;
}

/* Is this end the server? As detect/fields_fd.c judges a socket that was open before. */
static __always_inline bool call_is_server(const struct tip_ev_sock *ev, __u8 flags)
{
	if (!ev->rport)
		return true;
	return ev->sock_type == SOCK_STREAM ? ev->lport < ev->rport : flags & TIP_SHAPE_IN;
}

/* `kind`: TIP_KIND_*. */
static __always_inline __u32 file_digit(__u32 mode, __u32 kind)
{
	return (mode & S_IFMT) == S_IFDIR ? TIP_FILTER_IS_FOLDER : TIP_FILTER_OF_KIND(kind);
}

__noinline int tip_filter_call(__u32 set, __u32 generation)
{
	struct tip_scratch *s = scratch_get(set);
	const __u32 at = TIP_FILTER_AT(generation, TIP_FILTER_CALL);
	const struct tip_filter *f = bpf_map_lookup_elem(&filters, &at);
	__u32 kind = TIP_FILTER_IS_NOTHING;
	const struct tip_ev_call *ev;
	const struct tip_ev_sock *sock;
	bool server, inet;
	__u8 flags;
	__u64 bits;

	if (!s || !f)
		return 1;
	flags = call_shape_flags(s);
	ev = &((const struct tip_call_rec *)s->rec)->ev;
	sock = &ev->sock;
	inet = sock->sock_ino && is_inet(sock);
	if (sock->sock_ino)
		kind = sock_kind(sock) | (sock->rport ? TIP_FILTER_CONNECTED : 0);
	else if (ev->ino)
		kind = file_digit(ev->file_mode, ev->file_kind);
	bits = call_numbers(s, f, flags) & allowed(f, TIP_FILTER_KIND, kind);
	bits = filter_user(f, bits, ((const struct tip_call_rec *)s->rec)->hdr.uid);
	server = call_is_server(sock, flags);
	if (inet && !TIP_SHAPE_MODE_OF(flags))
		bits &= allowed_port(f, server ? sock->lport : sock->rport);
	if (!bits)
		return 0;
	if (unnamed(&f->second, unnamed(&f->path, bits)))
		return 1;
	if (inet)
		bits = filter_addr(s, f, bits, TIP_FILTER_CALL, generation,
				   server ? sock->laddr : sock->raddr, sock->family == AF_INET6);
	else
		bits = filter_name(s, &f->path, NULL, bits, TIP_FILTER_CALL, generation,
				   sizeof(struct tip_call_rec), ev->text_len[TIP_TEXT_PATH]);
	s->called.left = bits;
	s->called.generation = generation;
	return !bits ? 0 : unnamed(&f->second, bits) ? 1 : TIP_FILTER_ASK_SECOND;
}

/* Where no string of a call's record is by then: two paths are before it. */
#define SECOND_AT (TIP_REC_MASK + 1 - 256)

__noinline int tip_filter_second(__u32 set, __u32 path)
{
	struct tip_scratch *s = scratch_get(set);
	const __u32 generation = s ? s->called.generation : 0;
	const __u32 at = TIP_FILTER_AT(generation, TIP_FILTER_CALL);
	const struct tip_filter *f = bpf_map_lookup_elem(&filters, &at);
	__u32 len;

	if (!s || !f)
		return 1;
	len = ((const struct tip_call_rec *)s->rec)->ev.text_len[TIP_TEXT_PATH2];
	opaque(len);
	if (!len || len >= TIP_FILTER_TEXT)
		return 1;
	opaque(path);
	bpf_probe_read_kernel(s->rec + SECOND_AT, len, &s->rec[path & TIP_REC_MASK]);
	return filter_name(s, &f->second, NULL, s->called.left, TIP_FILTER_CALL | TIP_FILTER_SECOND,
			   generation, SECOND_AT, len) != 0;
}

/* ---- kill, ptrace, mounts, modules, executable memory ---- */

/* What an old program puts into the upper half of mount()'s flags: it means nothing. */
#define MS_MGC_VAL 0xc0ed0000u
#define MS_MGC_MSK 0xffff0000u

static __always_inline __u32 called_flags(const struct tip_called *d)
{
	const __u32 flags = d->args[3];

	return d->call == TIP_CALL_MOUNT && (flags & MS_MGC_MSK) == MS_MGC_VAL ? flags & ~MS_MGC_MSK
									       : flags;
}

static __always_inline __u32 called_number(const struct tip_called *d)
{
	__u32 n;

	switch (d->call) {
	case TIP_CALL_KILL:
	case TIP_CALL_TKILL:
	case TIP_CALL_UMOUNT2: n = d->args[1]; break;
	case TIP_CALL_TGKILL:
	case TIP_CALL_FINIT_MODULE: n = d->args[2]; break;
	case TIP_CALL_PTRACE:
		n = d->args[0];
		if (n >= TIP_FILTER_REQUESTS)
			n = n < TIP_FILTER_REQUESTS_TOO
				    ? TIP_FILTER_NUMBER_MORE
				    : n - TIP_FILTER_REQUESTS_TOO + TIP_FILTER_REQUESTS;
		break;
	case TIP_CALL_MOUNT: return called_flags(d) >> TIP_FILTER_MOUNT_TOO;
	default:
		n = d->args[2];
		return (n & ((1u << TIP_FILTER_PROT_LOW) - 1)) | (n >> TIP_FILTER_PROT_TOO & 3)
									 << TIP_FILTER_PROT_LOW;
	}
	return n < TIP_FILTER_NUMBER_MORE ? n : TIP_FILTER_NUMBER_MORE;
}

static __always_inline __u32 called_kind(const struct tip_called *d)
{
	const struct file *file = (void *)d->file;
	const struct inode *inode;

	if (!file)
		return TIP_FILTER_IS_NOTHING;
	inode = BPF_CORE_READ(file, f_inode);
	if (!BPF_CORE_READ(inode, i_ino))
		return TIP_FILTER_IS_NOTHING;
	return file_digit(BPF_CORE_READ(inode, i_mode), tip_file_kind((unsigned long)file));
}

__noinline int tip_filter_called(__u32 set, __u32 generation)
{
	const struct tip_scratch *s = scratch_get(set);
	const __u32 at = TIP_FILTER_AT(generation, TIP_FILTER_CALLED);
	const struct tip_filter *f = bpf_map_lookup_elem(&filters, &at);
	const struct tip_called *d;
	__u32 flags;
	__u64 bits;

	if (!s || !f)
		return 1;
	d = &s->called;
	flags = called_flags(d);
	bits = allowed(f, TIP_FILTER_NR, d->call) &
	       allowed(f, TIP_FILTER_RESULT, result_digit(d->ret)) &
	       allowed(f, TIP_FILTER_NUMBER, called_number(d)) &
	       allowed(f, TIP_FILTER_FLAGS, flags) &
	       allowed(f, TIP_FILTER_FLAGS + 1, flags >> TIP_FILTER_FLAGS_BITS) &
	       allowed(f, TIP_FILTER_FLAGS + 2, flags >> 2 * TIP_FILTER_FLAGS_BITS);
	bits = filter_current(f, bits);
	return bits & f->kinds ? (bits & allowed(f, TIP_FILTER_KIND, called_kind(d))) != 0
			       : bits != 0;
}

/* ---- execs ---- */

/* Adds what the name in s->front meets. `bytes`: of the key's text. */
static __always_inline void front_meets(struct tip_scratch *s, __u32 generation, __u32 table,
					__u32 bytes, __u64 *meets)
{
	const struct tip_filter_match *m;

	s->front.prefixlen = 64 + 8 * bytes;
	s->front.generation = generation;
	s->front.table = table;
	m = bpf_map_lookup_elem(&filter_names, &s->front);
	for (int i = 0; m && i < TIP_FILTER_SLOTS; i++)
		meets[i] |= m->meets[i];
}

static __always_inline __u32 exec_how(const struct tip_ev_exec *ev)
{
	const __u32 flags = ev->proc_flags;

	return (ev->syscall ? TIP_FILTER_EXEC_AT : 0) | (ev->tty ? TIP_FILTER_EXEC_TTY : 0) |
	       (flags & TIP_PROC_EXE_MEMFD ? TIP_FILTER_EXEC_MEMFD : 0) |
	       (flags & TIP_PROC_EXE_WRITABLE ? TIP_FILTER_EXEC_WRITE : 0) |
	       (flags & TIP_PROC_EXE_UPPER ? TIP_FILTER_EXEC_UPPER : 0) |
	       (flags & TIP_PROC_EXE_LOWER ? TIP_FILTER_EXEC_LOWER : 0);
}

/*
 * May a rule match the exec that is in the record? Its comm is the name of what was executed: there
 * is one thread by now, and it has not run since.
 */
__noinline int tip_filter_exec(__u32 set, __u32 generation, __u32 path)
{
	struct tip_scratch *s = scratch_get(set);
	const __u32 at = TIP_FILTER_AT(generation, TIP_FILTER_EXEC);
	const struct tip_filter *f = bpf_map_lookup_elem(&filters, &at);
	const struct tip_exec_rec *rec;
	__u64 meets[TIP_FILTER_SLOTS] = {};
	__u32 len;
	__u64 bits;

	if (!s || !f)
		return 1;
	rec = (const struct tip_exec_rec *)s->rec;
	bits = allowed(f, TIP_FILTER_EXEC_HOW, exec_how(&rec->ev));
	bits = filter_user(f, bits, rec->hdr.uid);
	if (!bits)
		return 0;
	if (unnamed(&f->path, bits) || !rec->hdr.comm[0])
		return 1;
	if (bits & f->comms) {
		__builtin_memcpy(s->front.text, rec->hdr.comm, TIP_FILTER_COMM_SIZE);
		front_meets(s, generation, TIP_FILTER_EXEC | TIP_FILTER_COMM, TIP_FILTER_COMM_SIZE,
			    meets);
	}
	if (bits & f->path.prefixes) {
		len = rec->ev.exe_path_len;
		opaque(len);
		if (!len || len >= TIP_FILTER_TEXT)
			return 1;
		opaque(path);
		bpf_probe_read_kernel(s->front.text, len + 1, &s->rec[path & TIP_REC_MASK]);
		front_meets(s, generation, TIP_FILTER_EXEC, len + 1, meets);
	}
	return slots_met(&f->path, bits, meets, true) != 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
