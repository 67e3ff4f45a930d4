/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_FIELD_H
#define TIP_DETECT_FIELD_H

#include <pthread.h>

#include "detect/detect.h"
#include "detect/events.h"
#include "detect/value.h"

/* Ancestors are looked for at most this far up. */
#define TIP_ANCESTORS_MAX 32

enum tip_field_arg {
	TIP_ARG_NONE,
	TIP_ARG_INDEX,     /* optional number: proc.aname[2] */
	TIP_ARG_INDEX_REQ, /* required number */
	TIP_ARG_NAME,      /* optional name: proc.env[PATH] */
	TIP_ARG_NAME_REQ,
	TIP_ARG_EVENT, /* evt.arg.NAME or evt.arg[NAME] */
};

struct tip_field_ref;
struct tip_extract;

/* Sets `out` (zeroed before); leaves it unset where the event has no such thing. */
typedef void (*tip_extract_fn)(struct tip_extract *x, const struct tip_field_ref *ref,
			       struct tip_value *out);

struct tip_field {
	const char *name;
	enum tip_type type;
	enum tip_field_arg arg;
	tip_codes codes;    /* events that can have it */
	tip_extract_fn get; /* NULL: known to the language, no source for it yet: always unset */
	uint32_t a, b;      /* for `get`: what a family of fields shares one function with */
	const char *desc;
	bool host; /* compared with names of hosts, which somebody has to resolve */
	bool list; /* several values at once: only in, intersects, exists */
	const char *const
		*calls; /* of codes without a name: which calls have it, NULL at the end */
	const char *deprecated;
};

/* One line of a table. */
#define TIP_FIELD(name_, type_, arg_, codes_, get_, a_, b_, desc_)                                 \
	{.name = (name_),                                                                          \
	 .type = (type_),                                                                          \
	 .arg = (arg_),                                                                            \
	 .codes = (codes_),                                                                        \
	 .get = (get_),                                                                            \
	 .a = (a_),                                                                                \
	 .b = (b_),                                                                                \
	 .desc = (desc_)}

/* A field as a rule names it. */
struct tip_field_ref {
	const struct tip_field *field;
	const char *text;                      /* "proc.aname[2]": key of output_fields */
	const char *arg;                       /* NULL: none */
	int64_t index;                         /* numeric argument, -1: none */
	enum tip_type type;                    /* of this use: evt.arg.NAME has the argument's */
	bool used;                             /* by an enabled rule */
	const struct tip_transform *transform; /* NULL: a field of the event, or a literal */
};

/* Memory for one event: given back all at once, so that matching does not allocate. */
struct tip_scratch_block;
struct tip_scratch {
	struct tip_scratch_block *first, *current;
};
void *tip_scratch_alloc(struct tip_scratch *s, size_t size);
void tip_scratch_reset(struct tip_scratch *s);
void tip_scratch_free(struct tip_scratch *s);

struct tip_users;
struct tip_services;
struct tip_hosts;
struct tip_transform;

/* What extractors may look at. */
struct tip_extract {
	struct tip_matcher *matcher; /* for what is made of other slots' values */
	const struct tip_match_input *in;
	enum tip_code code;
	struct tip_scratch *scratch;
	struct tip_users *users;
	struct tip_services *services;
	uint64_t first_ns, last_ns;    /* wall clock of the first event, and of the one before */
	const struct tip_hosts *hosts; /* NULL: none was resolved yet */
	struct tip_value
		path; /* of an open, absolute: several fields read it; made when first asked */
};

/* One table for each family; tip_field_find() sees them as one. */
struct tip_field_table {
	const struct tip_field *fields;
	size_t count;
};
extern const struct tip_field_table tip_fields_evt;
extern const struct tip_field_table tip_fields_proc;
extern const struct tip_field_table tip_fields_fd;
extern const struct tip_field_table tip_fields_user;
extern const struct tip_field_table tip_fields_live;
extern const struct tip_field_table tip_fields_env;
extern const struct tip_field_table tip_fields_net;
extern const struct tip_field_table tip_fields_path;
extern const struct tip_field_table tip_fields_poll;
extern const struct tip_field_table tip_fields_container;
/* True of a field that only a container runtime can fill. */
bool tip_field_of_container(const struct tip_field *f);
extern const struct tip_field_table tip_fields_unserved;

/*
 * Finds `name` with `arg` (NULL: none) and fills `ref` except text and used. 0, or -1 with the
 * reason in `why`.
 */
int tip_field_find(const char *name, const char *arg, struct tip_field_ref *ref, char *why,
		   size_t size);
/* Length of the longest field name that `s` starts with, 0: none. evt.arg.NAME counts whole. */
size_t tip_field_prefix(const char *s, size_t len);

/* ---- for extractors ------------------------------------------------------------------ */

void tip_value_str(struct tip_value *v, const char *s);
void tip_value_strn(struct tip_value *v, const char *s, size_t len);
void tip_value_int(struct tip_value *v, int64_t i);
/* A string in scratch memory. */
void tip_value_fmt(struct tip_extract *x, struct tip_value *v, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Puts `cur` (its `items` may be added to) as one more of several values. */
struct tip_value *tip_value_items(struct tip_extract *x, struct tip_value *v, uint32_t count);

/* The n-th ancestor (0: the process itself), NULL when it is not known. */
const struct tip_process *tip_extract_ancestor(struct tip_extract *x, int64_t n);
void tip_extract_caps(struct tip_extract *x, uint64_t caps, struct tip_value *out);
/* The executable's `path` as shown: a memfd (`flags`: TIP_PROC_*) has a name and no path. */
const char *tip_extract_image(const char *path, uint32_t flags);
/* argv[0], and the rest joined by blanks. */
void tip_extract_args(struct tip_extract *x, const struct tip_process *p, struct tip_value *out);
/* The environment at exec, blanks between; unset where it was not gathered. */
void tip_extract_env(struct tip_extract *x, const struct tip_process *p, struct tip_value *out);
/* Which end of a connection: local and remote are the socket's. */
enum tip_end_of { TIP_END_ANY, TIP_END_LOCAL, TIP_END_REMOTE, TIP_END_CLIENT, TIP_END_SERVER };
/* False: there is no such end, or it has none. `end` is not TIP_END_ANY. */
bool tip_extract_end_ip(const struct tip_extract *x, enum tip_end_of end, struct tip_ip *ip);
bool tip_extract_end_port(const struct tip_extract *x, enum tip_end_of end, uint16_t *port);
/* `base` + `name` made absolute by the letter: links are not followed. */
void tip_extract_path(struct tip_extract *x, const char *base, const char *name,
		      struct tip_value *out);

/* A flag by name: there when all of its bits are. */
struct tip_flag {
	uint64_t bits;
	const char *name;
};
/*
 * What evt.arg.flags of an open is made of: the name of the access among those of flags, then what
 * became of it (bits of TIP_FILE_*).
 */
const struct tip_flag *tip_open_flags(size_t *count);
const struct tip_flag *tip_opened_flags(size_t *count);
const char *tip_open_access(uint32_t oflags);
void tip_extract_fd_name(struct tip_extract *x, struct tip_value *out);
/* fd.type, or fd.typechar, of one of TIP_KIND_*; NULL: there is no such kind. */
const char *tip_file_kind_text(uint32_t kind, bool name);
/* fd.typechar, '\0': there is no descriptor, or nothing is known of it. */
char tip_extract_fd_kind(struct tip_extract *x);
/* "<f>/etc/passwd", "<4t>10.0.0.1:80->...": kind and name. */
void tip_extract_fd_shown(struct tip_extract *x, struct tip_value *out);
/* The socket of an event that is about one. */
const struct tip_ev_sock *tip_extract_sock(const struct tip_extract *x);
/* What /proc says of the process by now, as text. */
enum tip_live_arg {
	TIP_LIVE_VM_SIZE,
	TIP_LIVE_VM_RSS,
	TIP_LIVE_VM_SWAP,
	TIP_LIVE_PGFT_MAJ,
	TIP_LIVE_PGFT_MIN,
	TIP_LIVE_FDLIMIT,
	TIP_LIVE_CGROUPS,
};
void tip_extract_live(struct tip_extract *x, enum tip_live_arg what, struct tip_value *out);
/* "SUCCESS" or the name of -ret. */
const char *tip_errno_name(int64_t ret);

/* evt.arg.NAME: its type, and whether any event of the language has such an argument. */
bool tip_event_arg_known(const char *name, enum tip_type *type, tip_codes *codes);
/* `raw`: evt.rawarg, where a number has a name too. */
void tip_extract_event_arg(struct tip_extract *x, const char *name, bool raw,
			   struct tip_value *out);
/* The n-th one. */
void tip_extract_event_arg_at(struct tip_extract *x, int64_t n, bool raw, struct tip_value *out);
/* "a=1 b=2": evt.args. */
void tip_extract_event_args(struct tip_extract *x, struct tip_value *out);
/* The arguments of that name, of the calls that have one: what the kernel can look at of them. */
enum tip_syscall_arg_is {
	TIP_SYSCALL_ARG_OTHER,
	TIP_SYSCALL_ARG_PATH, /* the first path, made absolute */
	TIP_SYSCALL_ARG_TEXT, /* the same as it was given */
	TIP_SYSCALL_ARG_PATH2,
	TIP_SYSCALL_ARG_TEXT2,
	TIP_SYSCALL_ARG_MODE,
	TIP_SYSCALL_ARG_FLAGS,
	TIP_SYSCALL_ARG_NUMBER, /* the one that the kernel looks at as a whole */
};
struct tip_arg_row;
struct tip_syscall_arg {
	tip_codes codes;
	enum tip_syscall_arg_is what;
	const struct tip_arg_row *row;
};
#define TIP_SYSCALL_ARGS_NAMED 16
/* Those of the calls in `codes`. False: there are more than have room. */
bool tip_syscall_args_named(const char *name, tip_codes codes,
			    struct tip_syscall_arg out[TIP_SYSCALL_ARGS_NAMED], size_t *count);
/* Is an argument of that name in memory that the caller points at, so that it must be gathered? */
bool tip_event_arg_in_memory(const char *name);

/* ---- /etc/passwd and /etc/group, read without NSS, again when they change ----------------- */

struct tip_users *tip_users_new(const char *passwd, const char *group);
void tip_users_free(struct tip_users *u);
struct tip_user {
	const char *name, *home, *shell;
};
/* NULL: unknown. Valid until the next call. `now_ns`: the files are looked at once a second. */
const struct tip_user *tip_user_by_uid(struct tip_users *u, uint32_t uid, uint64_t now_ns);
const char *tip_group_by_gid(struct tip_users *u, uint32_t gid, uint64_t now_ns);

/* ---- /etc/services ------------------------------------------------------------------- */

struct tip_services *tip_services_new(const char *path);
void tip_services_free(struct tip_services *s);
/* NULL: it has none. */
const char *tip_service_name(struct tip_services *s, uint16_t port, bool udp);

#endif
