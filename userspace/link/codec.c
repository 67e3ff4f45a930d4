/* SPDX-License-Identifier: Apache-2.0 */
#include "link/link.h"

#include <string.h>

#include "base/mem.h"
#include "tipstaff/facts.h"

/*
 * One table says what each message carries; encoder and decoder both walk it.
 * Letters: I id, X exec_id, e epoch, p pid, u uid, g gid, a ask, f flag, N numbers, C counters,
 * k kind, c cause, r error, F flow, n name, t text, d data (binary), y data (text). Strings are
 * limited to the sizes beside.
 */
struct format {
	enum tip_link_side sender;
	const char *name; /* for errors; NULL: no such type */
	const char *letters;
	uint32_t n_max, t_max, d_max;
	uint32_t nfds;
};

#define RECORD_NAME   64
#define RECORD_DATA   60000
#define ID_MAX        2048
#define PATH_LIMIT    4095
#define TEXT_LIMIT    511
#define SHA256_TEXT   64
#define BOX_ID        64
#define HOST_MAX      255
#define HEAD_MAX      8192
#define PEM_KEY_MAX   16384
#define PEM_CHAIN_MAX 32768
#define HOST_PORT     271
#define TOKEN_MAX     16384
#define MOVED_DATA    (TIP_LINK_MOVED_MAX * sizeof(struct tip_link_moved))

static const struct format formats[TIP_LINK_TYPE_MAX] = {
	[TIP_LINK_CONFIG] = {TIP_LINK_KEEPER, "CONFIG", "nN", .n_max = 255},
	[TIP_LINK_RECORD] = {TIP_LINK_KEEPER, "RECORD", "nd", RECORD_NAME, .d_max = RECORD_DATA},
	[TIP_LINK_ENTRIES] = {TIP_LINK_KEEPER, "ENTRIES", ""},
	[TIP_LINK_ENTRY] = {TIP_LINK_KEEPER, "ENTRY", "y", .d_max = RECORD_DATA},
	[TIP_LINK_ENTRIES_END] = {TIP_LINK_KEEPER, "ENTRIES_END", ""},
	[TIP_LINK_START] = {TIP_LINK_KEEPER, "START", ""},
	[TIP_LINK_QUARANTINE] = {TIP_LINK_KEEPER, "QUARANTINE", "fn", .n_max = ID_MAX},
	[TIP_LINK_EXEC] = {TIP_LINK_KEEPER, "EXEC", "Xepugfnty", PATH_LIMIT, PATH_LIMIT,
			   SHA256_TEXT},
	[TIP_LINK_GONE] = {TIP_LINK_KEEPER, "GONE", "X"},
	[TIP_LINK_CONN] = {TIP_LINK_KEEPER, "CONN", "IXepug", .nfds = 1},
	[TIP_LINK_CHECKED] = {TIP_LINK_KEEPER, "CHECKED", "Iaf"},
	[TIP_LINK_LIMITS] = {TIP_LINK_KEEPER, "LIMITS", "N"},
	[TIP_LINK_TRAFFIC] = {TIP_LINK_KEEPER, "TRAFFIC", "I"},
	[TIP_LINK_POLICY] = {TIP_LINK_KEEPER, "POLICY", "y", .d_max = RECORD_DATA},
	[TIP_LINK_TRAFFIC_END] = {TIP_LINK_KEEPER, "TRAFFIC_END", ""},
	[TIP_LINK_OUTBOUND] = {TIP_LINK_KEEPER, "OUTBOUND", "IXFn", .n_max = ID_MAX, .nfds = 1},
	[TIP_LINK_INBOUND] = {TIP_LINK_KEEPER, "INBOUND", "IXFn", .n_max = ID_MAX, .nfds = 1},
	[TIP_LINK_JOIN] = {TIP_LINK_KEEPER, "JOIN", "I", .nfds = 1},
	[TIP_LINK_CUT] = {TIP_LINK_KEEPER, "CUT", "Ic"},
	[TIP_LINK_RUNTIME] = {TIP_LINK_KEEPER, "RUNTIME", "akfn", PATH_LIMIT},
	[TIP_LINK_INSPECT] = {TIP_LINK_KEEPER, "INSPECT", "kn", BOX_ID},
	[TIP_LINK_DIALLED] = {TIP_LINK_KEEPER, "DIALLED", "I", .nfds = 1},
	[TIP_LINK_UNDIALLED] = {TIP_LINK_KEEPER, "UNDIALLED", "Ir"},
	[TIP_LINK_HTTP] = {TIP_LINK_KEEPER, "HTTP", "Nnty", HOST_MAX, ID_MAX, .d_max = HEAD_MAX},
	[TIP_LINK_HTTP_SVID] = {TIP_LINK_KEEPER, "HTTP_SVID", "n", ID_MAX},
	[TIP_LINK_HTTP_CA] = {TIP_LINK_KEEPER, "HTTP_CA", "fd", .d_max = RECORD_DATA},
	[TIP_LINK_HTTP_CLIENT] = {TIP_LINK_KEEPER, "HTTP_CLIENT", "td", .t_max = PEM_KEY_MAX,
				  .d_max = PEM_CHAIN_MAX},
	[TIP_LINK_HTTP_SINK] = {TIP_LINK_KEEPER, "HTTP_SINK", "", .nfds = 1},
	[TIP_LINK_KUBELET] = {TIP_LINK_KEEPER, "KUBELET", "nt", HOST_PORT, HOST_MAX},
	[TIP_LINK_KUBELET_CA] = {TIP_LINK_KEEPER, "KUBELET_CA", "fd", .d_max = RECORD_DATA},
	[TIP_LINK_KUBELET_DIALLED] = {TIP_LINK_KEEPER, "KUBELET_DIALLED", "Iy", .d_max = TOKEN_MAX,
				      .nfds = 1},
	[TIP_LINK_READY] = {TIP_LINK_FRONT, "READY", ""},
	[TIP_LINK_RESOLVED] = {TIP_LINK_FRONT, "RESOLVED", "Xen", .n_max = ID_MAX},
	[TIP_LINK_SAVE] = {TIP_LINK_FRONT, "SAVE", "nd", RECORD_NAME, .d_max = RECORD_DATA},
	[TIP_LINK_FORGET] = {TIP_LINK_FRONT, "FORGET", "n", RECORD_NAME},
	[TIP_LINK_CHECK] = {TIP_LINK_FRONT, "CHECK", "Ia"},
	[TIP_LINK_CLOSED] = {TIP_LINK_FRONT, "CLOSED", "I"},
	[TIP_LINK_REFUSED] = {TIP_LINK_FRONT, "REFUSED", "Xpn", .n_max = 200},
	[TIP_LINK_STATS] = {TIP_LINK_FRONT, "STATS", "NC"},
	[TIP_LINK_WANTED] = {TIP_LINK_FRONT, "WANTED", "In", .n_max = ID_MAX},
	[TIP_LINK_ENDED] = {TIP_LINK_FRONT, "ENDED", "IcrntC", ID_MAX, TEXT_LIMIT},
	[TIP_LINK_MOVED] = {TIP_LINK_FRONT, "MOVED", "d", .d_max = MOVED_DATA},
	[TIP_LINK_RELAYS] = {TIP_LINK_FRONT, "RELAYS", "NC"},
	[TIP_LINK_DIAL] = {TIP_LINK_FRONT, "DIAL", "Iakn", .n_max = 71},
	[TIP_LINK_FACTS] = {TIP_LINK_FRONT, "FACTS", "knd", BOX_ID, .d_max = TIP_FACTS_MAX},
	[TIP_LINK_INSPECTOR] = {TIP_LINK_FRONT, "INSPECTOR", "NC"},
	[TIP_LINK_STREAMS] = {TIP_LINK_FRONT, "STREAMS", "NC"},
	[TIP_LINK_LISTS] = {TIP_LINK_FRONT, "LISTS", "C"},
};

static const struct format *format_of(uint32_t type)
{
	return type < TIP_LINK_TYPE_MAX && formats[type].name ? &formats[type] : NULL;
}

/* ---- decoding ----------------------------------------------------------------- */

struct cursor {
	const unsigned char *p;
	size_t left;
	char *scratch; /* where the next string goes */
};

static int take(struct cursor *c, void *out, size_t len)
{
	if (c->left < len)
		return -1;
	memcpy(out, c->p, len);
	c->p += len;
	c->left -= len;
	return 0;
}

/* A string of at most `max` bytes; `text` ones may not hold a NUL. */
static int take_string(struct cursor *c, uint32_t max, bool text, const char **out, size_t *out_len)
{
	uint32_t len;

	if (take(c, &len, sizeof(len)) < 0 || len > max || len > c->left)
		return -1;
	if (text && memchr(c->p, '\0', len))
		return -1;
	memcpy(c->scratch, c->p, len);
	c->scratch[len] = '\0';
	*out = c->scratch;
	*out_len = len;
	/* Fits: every string costs four bytes of packet for its one extra byte here. */
	c->scratch += len + 1;
	c->p += len;
	c->left -= len;
	return 0;
}

static int take_member(struct cursor *c, char letter, const struct format *f,
		       struct tip_link_msg *m)
{
	const char *s;
	size_t len;

	switch (letter) {
	case 'I': return take(c, &m->id, sizeof(m->id));
	case 'X': return take(c, &m->exec_id, sizeof(m->exec_id));
	case 'e': return take(c, &m->epoch, sizeof(m->epoch));
	case 'p': return take(c, &m->pid, sizeof(m->pid));
	case 'u': return take(c, &m->uid, sizeof(m->uid));
	case 'g': return take(c, &m->gid, sizeof(m->gid));
	case 'a': return take(c, &m->ask, sizeof(m->ask));
	case 'k': return take(c, &m->kind, sizeof(m->kind));
	case 'f': return take(c, &m->flag, sizeof(m->flag)) < 0 || m->flag > 1 ? -1 : 0;
	case 'c': return take(c, &m->cause, sizeof(m->cause));
	case 'r': return take(c, &m->error, sizeof(m->error));
	case 'F': return take(c, &m->flow, sizeof(m->flow));
	case 'N': return take(c, m->numbers, sizeof(m->numbers));
	case 'C': return take(c, m->counters, sizeof(m->counters));
	case 'n': return take_string(c, f->n_max, true, &m->name, &len);
	case 't': return take_string(c, f->t_max, true, &m->text, &len);
	case 'd':
	case 'y':
		if (take_string(c, f->d_max, letter == 'y', &s, &len) < 0)
			return -1;
		m->data = s;
		m->data_len = len;
		return 0;
	default: return -1;
	}
}

int tip_link_decode(enum tip_link_side receiver, const void *packet, size_t len, size_t nfds,
		    char *scratch, struct tip_link_msg *out, struct tip_error *err)
{
	struct cursor c = {packet, len, scratch};
	const struct format *f;
	struct tip_link_hdr h;

	*out = (struct tip_link_msg){.name = "", .text = "", .data = "", .fd = -1};
	if (len > TIP_LINK_MAX || take(&c, &h, sizeof(h)) < 0)
		return tip_error_set(err, "a message of %zu bytes", len);
	if (h.version != TIP_LINK_VERSION)
		return tip_error_set(err, "version %u, this side speaks %u", h.version,
				     TIP_LINK_VERSION);
	f = format_of(h.type);
	if (!f)
		return tip_error_set(err, "unknown type %u", h.type);
	if (f->sender == receiver)
		return tip_error_set(err, "%s came from the wrong side", f->name);
	if (h.len != len)
		return tip_error_set(err, "%s says %u bytes and has %zu", f->name, h.len, len);
	if (h.nfds != nfds || nfds != f->nfds)
		return tip_error_set(err, "%s with %zu descriptors (header: %u, wanted: %u)",
				     f->name, nfds, h.nfds, f->nfds);
	out->type = (enum tip_link_type)h.type;
	for (const char *l = f->letters; *l; l++)
		if (take_member(&c, *l, f, out) < 0)
			return tip_error_set(err,
					     "%s: member '%c' is cut short or beyond its limit",
					     f->name, *l);
	if (c.left)
		return tip_error_set(err, "%s has %zu bytes too many", f->name, c.left);
	return 0;
}

/* ---- encoding ----------------------------------------------------------------- */

struct writer {
	unsigned char *p;
	size_t left;
};

static int put(struct writer *w, const void *data, size_t len)
{
	if (w->left < len)
		return -1;
	if (len)
		memcpy(w->p, data, len);
	w->p += len;
	w->left -= len;
	return 0;
}

static int put_string(struct writer *w, const void *s, size_t len, uint32_t max)
{
	uint32_t n = (uint32_t)len;

	if (len > max || put(w, &n, sizeof(n)) < 0)
		return -1;
	return put(w, s, len);
}

static int put_member(struct writer *w, char letter, const struct format *f,
		      const struct tip_link_msg *m)
{
	const char *name = m->name ? m->name : "";
	const char *text = m->text ? m->text : "";

	switch (letter) {
	case 'I': return put(w, &m->id, sizeof(m->id));
	case 'X': return put(w, &m->exec_id, sizeof(m->exec_id));
	case 'e': return put(w, &m->epoch, sizeof(m->epoch));
	case 'p': return put(w, &m->pid, sizeof(m->pid));
	case 'u': return put(w, &m->uid, sizeof(m->uid));
	case 'g': return put(w, &m->gid, sizeof(m->gid));
	case 'a': return put(w, &m->ask, sizeof(m->ask));
	case 'k': return put(w, &m->kind, sizeof(m->kind));
	case 'f': return put(w, &m->flag, sizeof(m->flag));
	case 'c': return put(w, &m->cause, sizeof(m->cause));
	case 'r': return put(w, &m->error, sizeof(m->error));
	case 'F': return put(w, &m->flow, sizeof(m->flow));
	case 'N': return put(w, m->numbers, sizeof(m->numbers));
	case 'C': return put(w, m->counters, sizeof(m->counters));
	case 'n': return put_string(w, name, strlen(name), f->n_max);
	case 't': return put_string(w, text, strlen(text), f->t_max);
	case 'd':
	case 'y': return put_string(w, m->data, m->data_len, f->d_max);
	default: return -1;
	}
}

long tip_link_encode(const struct tip_link_msg *msg, uint32_t seq, void *out, struct tip_error *err)
{
	const struct format *f = format_of((uint32_t)msg->type);
	struct writer w = {(unsigned char *)out + sizeof(struct tip_link_hdr),
			   TIP_LINK_MAX - sizeof(struct tip_link_hdr)};
	struct tip_link_hdr h;

	if (!f)
		return tip_error_set(err, "unknown type %u", (unsigned int)msg->type);
	for (const char *l = f->letters; *l; l++)
		if (put_member(&w, *l, f, msg) < 0)
			return tip_error_set(err, "%s: member '%c' is beyond its limit", f->name,
					     *l);
	h = (struct tip_link_hdr){
		.version = TIP_LINK_VERSION,
		.type = (uint16_t)msg->type,
		.len = (uint32_t)(TIP_LINK_MAX - w.left),
		.seq = seq,
		.nfds = f->nfds,
	};
	memcpy(out, &h, sizeof(h));
	return h.len;
}
