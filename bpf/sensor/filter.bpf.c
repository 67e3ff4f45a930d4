/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The prefilter's decisions. Functions of their own for the verifier, which looks at each once, and
 * not behind every branch of the programs that ask.
 *
 * A name decides only where the letters are all there is to it: fd.name is the name without ".",
 * ".." and "//", made absolute. Names with any of that are told, whatever they are.
 */
#include "sensor/filter.h"

#define WORD    sizeof(__u64)
#define EACH(b) (0x0101010101010101ull * (b))

/* The highest bit of each byte of `w` that is `b`. */
static __always_inline __u64 bytes_that_are(__u64 w, __u8 b)
{
	__u64 x = w ^ EACH(b);

	return ~(((x & EACH(0x7f)) + EACH(0x7f)) | x | EACH(0x7f));
}

/*
 * Copies the name, `len` bytes of the record, to s->front, and says whether it is plain: equal to
 * what it comes down to, as far as it goes. Eight bytes at a time: of what most opens cost here
 * this is a large part.
 */
static __always_inline bool name_plain(struct tip_scratch *s, __u32 len)
{
	const __u8 *name = s->rec + sizeof(struct tip_open_rec);
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
static __always_inline void name_backwards(struct tip_scratch *s, __u32 len, bool absolute)
{
	__u32 at = sizeof(struct tip_open_rec) + len;
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

/* Which of the clauses in `bits` does the name in the record leave? */
static __always_inline __u64 filter_name(struct tip_scratch *s, const struct tip_filter *f,
					 __u64 bits, __u32 group, __u32 generation)
{
	const struct tip_open_rec *rec = (void *)s->rec;
	const struct tip_filter_match *m;
	__u32 len = rec->ev.name_len, end = len;
	__u64 meets[TIP_FILTER_SLOTS] = {};
	bool absolute;

	if (!len || len >= TIP_FILTER_TEXT || !name_plain(s, len))
		return bits;
	absolute = s->front.text[0] == '/';
	if (absolute && (bits & f->prefixes)) {
		opaque(end);
		if (end >= TIP_FILTER_TEXT)
			return bits;
		s->front.text[end] = 0;
		s->front.prefixlen = 64 + 8 * (end + 1);
		s->front.generation = generation;
		s->front.table = group;
		m = bpf_map_lookup_elem(&filter_names, &s->front);
		for (int i = 0; m && i < TIP_FILTER_SLOTS; i++)
			meets[i] = m->meets[i];
	}
	if (bits & (absolute ? f->suffixes : f->suffixes | f->nears)) {
		name_backwards(s, len, absolute);
		s->back.generation = generation;
		s->back.table = group | TIP_FILTER_BACKWARDS;
		m = bpf_map_lookup_elem(&filter_names, &s->back);
		for (int i = 0; m && i < TIP_FILTER_SLOTS; i++)
			meets[i] |= absolute ? m->meets[i] : m->meets[i] | m->near[i];
	}
	for (int i = 0; i < TIP_FILTER_SLOTS; i++) {
		__u64 met = (meets[i] ^ f->negated[i]) | f->unnamed[i];

		bits &= absolute ? met : met | f->vague[i];
	}
	return bits;
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
	if (!bits)
		return 0;
	if (!o->name || (bits & f->unnamed[0] & f->unnamed[1] & f->unnamed[2]))
		return 1;
	open_name(s);
	return filter_name(s, f, bits, TIP_FILTER_OPEN, generation) != 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
