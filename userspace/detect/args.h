/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_ARGS_H
#define TIP_DETECT_ARGS_H

#include "detect/flags.h"

/*
 * Arguments of events: evt.arg, evt.rawarg and evt.args. Each of the two families has a table of
 * them; what they share of the rendering is here.
 */

/* Which events have the argument. Those of one event stand in the order of the language. */
struct tip_arg_row {
	tip_codes codes;
	const char *name;
	uint8_t kind;    /* of the family, or enum tip_arg_kind */
	uint8_t n, text; /* which of the event's numbers, and of its paths */
	const struct tip_flag_table *flags;
};

/* What is written on the one side, and what it stands for; `shown` unset: there is no other word.
 */
struct tip_told {
	struct tip_value raw, shown;
};

struct tip_arg_family {
	const struct tip_arg_row *rows;
	size_t count;
	void (*tell)(struct tip_extract *x, const struct tip_arg_row *row, struct tip_told *t);
};
/* Events with a record of their own, and those that are told by their arguments. */
extern const struct tip_arg_family tip_args_event, tip_args_call;

/* Kinds that are made of a number alone; those of a family begin behind them. */
enum tip_arg_kind {
	TIP_ARG_UNKNOWN, /* the language has it there, the event does not say it */
	TIP_ARG_RES,     /* the result, or the error */
	TIP_ARG_INT,     /* 32 bits with a sign */
	TIP_ARG_UINT,    /* 32 bits */
	TIP_ARG_NUMBER,  /* 64 bits */
	TIP_ARG_HEX,
	TIP_ARG_OCTAL,
	TIP_ARG_FLAGS, /* 32 bits, with names */
	TIP_ARG_UID,
	TIP_ARG_GID,
	TIP_ARG_PID, /* as the process sees it: the name of the process, if that is known */
	TIP_ARG_SIGNAL,
	TIP_ARG_LIVE, /* `n`: enum tip_live_arg; asked of /proc, so it is not in evt.args */
	TIP_ARG_FAMILY
};
void tip_tell_number(struct tip_extract *x, const struct tip_arg_row *row, uint64_t value,
		     struct tip_told *t);

/* Kinds of arguments of the events that are told by the numbers and texts of the call. */
enum tip_call_arg_kind {
	S_FD = TIP_ARG_FAMILY, /* the one that the call is about */
	S_RES_FD,              /* a descriptor, or the error */
	S_SAME_FD,             /* the result is another number of the same */
	S_OTHER_FD,            /* nothing is known of it but its number */
	S_DIRFD,               /* `n`: argument; its folder is the base of path `text` */
	S_MODE,
	S_NODE,   /* mode of mknod(), with the kind of the file */
	S_MOUNT,  /* flags of mount() */
	S_TEXT,   /* as it was given; of mounts and modules by its place */
	S_FILLED, /* a text that the call wrote, so there is none where it failed */
	S_PATH,   /* absolute */
	S_SIZE,   /* what was read or written */
	S_TUPLE,
	S_SOCK_TYPE,
	S_SOCK_FLAGS,
	S_SOCK_OPTION, /* its level is the argument before */
	S_FUTEX,
	S_ID, /* which call it is */
	S_INO,
	S_NAME,     /* the text that some options of prctl() take or fill */
	S_FS_VALUE, /* the text that some commands of fsconfig() take */
	/* from here on: in the memory that the call points at */
	S_DATA,
	S_WORD,     /* four bytes from `n` on, as a TIP_ARG_* that `text` says */
	S_LONG,     /* eight bytes, likewise */
	S_END,      /* a descriptor, four bytes from `n` on, of two that the call made */
	S_CAPS,     /* of struct __user_cap_data_struct, twice: word `n` of both */
	S_INTERVAL, /* struct timespec */
	S_OPTION,   /* the value of a socket's option */
	S_POLLED,   /* struct pollfd */
};
#define S_RES      TIP_ARG_RES
#define S_INT      TIP_ARG_INT
#define S_UINT     TIP_ARG_UINT
#define S_NUMBER   TIP_ARG_NUMBER
#define S_HEX      TIP_ARG_HEX
#define S_FLAGS    TIP_ARG_FLAGS
#define S_PID      TIP_ARG_PID
#define S_UID      TIP_ARG_UID
#define S_GID      TIP_ARG_GID
#define S_SIGNAL   TIP_ARG_SIGNAL
#define S_UNKNOWN  TIP_ARG_UNKNOWN
#define TIP_RESULT 6 /* in place of the number of an argument */

/* Arguments of a call that has no code of its own, by its number. NULL: the language has none. */
const struct tip_arg_row *tip_args_other(uint32_t nr, size_t *count);
/* Does some call without a code of its own have an argument of that name (and in memory)? */
bool tip_args_other_have(const char *name, bool in_memory);

/* A descriptor: the number, and what is known of the event's. */
void tip_tell_fd(struct tip_extract *x, int64_t fd, struct tip_told *t);
/* A folder's: AT_FDCWD, or `base` if it is not "". */
void tip_tell_dirfd(struct tip_extract *x, int fd, const char *base, struct tip_told *t);
/* As it was given; a relative one is shown from `base`. */
void tip_tell_path(struct tip_extract *x, const char *base, const char *path, struct tip_told *t);
/* What cannot be printed is a dot. */
void tip_tell_bytes(struct tip_extract *x, const char *data, size_t len, struct tip_told *t);

#endif
