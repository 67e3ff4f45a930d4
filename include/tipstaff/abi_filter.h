/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIPSTAFF_ABI_FILTER_H
#define TIPSTAFF_ABI_FILTER_H

/* The prefilter's part of abi.h: its group is TIP_ABI_POLICY. */

/*
 * What of an act the rules need at least, compiled by the keeper: an act that meets no clause
 * matches no rule, and is not told. A clause is a bit. Small numbers of the act (its digits) each
 * say which clauses they allow; names say which of a clause's slots they meet. What cannot be
 * decided here counts as met. A generation is written whole beside the one in force, then
 * settings.filter_generation is switched, then the old one is deleted.
 */
#define TIP_FILTER_CLAUSES 64
#define TIP_FILTER_DIGITS  11
#define TIP_FILTER_VALUES  64 /* of a digit */
#define TIP_FILTER_SLOTS   3  /* conditions on names in a clause: all of them must be met */

/* Kinds of acts, each with clauses of its own. */
enum tip_filter_group {
	TIP_FILTER_OPEN,
	TIP_FILTER_SOCK,   /* connect, accept, bind, listen */
	TIP_FILTER_CALL,   /* the system calls of TIP_EV_CALL */
	TIP_FILTER_EXEC,   /* these are told in any case: hdr.unmatched says what was decided */
	TIP_FILTER_CALLED, /* kill, ptrace, mounts, modules, executable memory */
	TIP_FILTER_GROUPS
};

/*
 * A number that is longer than a digit is three of them: so many of the lowest bits, six more, and
 * what is above, or TIP_FILTER_LONG_MORE if that is more.
 */
#define TIP_FILTER_LONG      3
#define TIP_FILTER_LONG_BITS 6
#define TIP_FILTER_LONG_MORE 63
#define TIP_FILTER_UID_LOW   6
#define TIP_FILTER_PORT_LOW  4 /* that all below 1024 have upper digits of their own */

#define TIP_FILTER_UID 8 /* digits 8 to 10, of every group: the user */

/* The digits of an open. */
#define TIP_FILTER_OPEN_HOW     0 /* TIP_OPEN_*, and the two below */
#define TIP_FILTER_OPEN_FAILED  (1u << 3)
#define TIP_FILTER_OPEN_ACCESS  4 /* bits from there on: O_ACCMODE */
#define TIP_FILTER_OPEN_FLAGS   1 /* digits 1 to 3: bits of O_*, so many each ... */
#define TIP_FILTER_FLAG_BITS    6
#define TIP_FILTER_FLAGS_FIRST  6         /* ... from that one (O_CREAT) on */
#define TIP_FILTER_EXEC_MODE    (1u << 5) /* in digit 3, where O_* has none: 0111 in the mode */
#define TIP_FILTER_OPEN_HOW_MAX 8
#define TIP_FILTER_OPEN_DIGITS  4

/*
 * Behind them, two of an absolute name, so that hardly a name is looked up: six bits of a letter
 * each. A clause is left if either allows it: the first by names as they begin, the other by ends.
 */
#define TIP_FILTER_OPEN_SECOND 4 /* the letter behind the slash that it begins with */
#define TIP_FILTER_OPEN_LAST   5

/*
 * The digits of the other groups. What an event has not is not looked at. Their
 * names are paths, or an address as text: '/', '4' or '6', and hex.
 */
#define TIP_FILTER_NR      0 /* of a call: the lower bits of its number; otherwise TIP_FILTER_* */
#define TIP_FILTER_NR_HIGH 1 /* the others */
#define TIP_FILTER_NR_BITS 6
#define TIP_FILTER_CONNECT 0
#define TIP_FILTER_ACCEPT  1
#define TIP_FILTER_BIND    2
#define TIP_FILTER_LISTEN  3
#define TIP_FILTER_RESULT  2  /* the result itself, or one of these: */
#define TIP_FILTER_MORE    61 /* a larger number */
#define TIP_FILTER_FAILED  62 /* an error */
#define TIP_FILTER_PENDING 63 /* the error EINPROGRESS */
#define TIP_FILTER_FIRST   3  /* the first argument of a call, as 32 bits; 63: 63 or more */
#define TIP_FILTER_KIND    4  /* what the descriptor is: TIP_FILTER_IS_*, and the bits below */
#define TIP_FILTER_PORT    5  /* digits 5 to 7: the port */
#define TIP_FILTER_MODE    6  /* digits 6 and 7, of a call that gives a mode: its bits, 6 each */

#define TIP_FILTER_IS_NOTHING 0
#define TIP_FILTER_IS_FILE    1
#define TIP_FILTER_IS_FOLDER  2
#define TIP_FILTER_IS_PIPE    3
#define TIP_FILTER_IS_UNIX    4
#define TIP_FILTER_IS_INET    5
#define TIP_FILTER_IS_INET6   6
#define TIP_FILTER_IS_NETLINK 7
/* Of TIP_KIND_*: a file with the lower three bits of it from TIP_FILTER_L4 on, from 8 on a pipe. */
#define TIP_FILTER_OF_KIND(kind)                                                                   \
	(((kind) & 8 ? TIP_FILTER_IS_PIPE : TIP_FILTER_IS_FILE) | ((kind) & 7) << TIP_FILTER_L4)
#define TIP_FILTER_L4        3 /* bits from there on, of inet: TIP_FILTER_L4_* */
#define TIP_FILTER_L4_TCP    0
#define TIP_FILTER_L4_UDP    1
#define TIP_FILTER_L4_ICMP   2
#define TIP_FILTER_L4_OTHER  3
#define TIP_FILTER_CONNECTED (1u << 5)

/*
 * The digits of what is told by its arguments (TIP_EV_SIGNAL, TIP_EV_PTRACE, TIP_EV_MOUNT,
 * TIP_EV_MODULE, TIP_EV_MMAP): TIP_FILTER_NR, a TIP_CALL_*; TIP_FILTER_RESULT; TIP_FILTER_KIND; and
 * these.
 */
#define TIP_FILTER_NUMBER      3 /* the argument that says most, see below */
#define TIP_FILTER_FLAGS       5 /* digits 5 to 7: flags of mmap() and mount(), so many bits each */
#define TIP_FILTER_FLAGS_BITS  6
#define TIP_FILTER_NUMBER_MORE 63 /* of the signal, or of the flags: that number, or more */
/* The request of ptrace(). There are small ones, and those from PTRACE_SETOPTIONS on. */
#define TIP_FILTER_REQUESTS     48 /* so many of the first ones; neither: TIP_FILTER_NUMBER_MORE */
#define TIP_FILTER_REQUESTS_TOO 0x4200
/* The bits of `prot` that mean something: the lower four, and two from there on. */
#define TIP_FILTER_PROT_LOW 4
#define TIP_FILTER_PROT_TOO 24
/* Of mount(): those of its flags that digits 5 to 7 have no room for. */
#define TIP_FILTER_MOUNT_TOO 18

/*
 * The digits of an exec. Its names are the path of the executable, and its comm, which has a table
 * of its own.
 */
#define TIP_FILTER_EXEC_HOW   0         /* the bits below */
#define TIP_FILTER_EXEC_AT    (1u << 0) /* it was execveat */
#define TIP_FILTER_EXEC_TTY   (1u << 1) /* there is a controlling terminal */
#define TIP_FILTER_EXEC_MEMFD (1u << 2) /* and so on: TIP_PROC_EXE_* */
#define TIP_FILTER_EXEC_WRITE (1u << 3)
#define TIP_FILTER_EXEC_UPPER (1u << 4)
#define TIP_FILTER_EXEC_LOWER (1u << 5)

/* What clauses ask of a name. */
struct tip_filter_names {
	__u64 unnamed[TIP_FILTER_SLOTS]; /* clauses without a condition on it in that slot */
	__u64 negated[TIP_FILTER_SLOTS]; /* those that want none of the names there */
	__u64 vague[TIP_FILTER_SLOTS];   /* those that a relative name alone cannot decide */
	__u64 prefixes, suffixes;        /* clauses with names of that kind, whatever the slot */
	__u64 nears;                     /* clauses with whole names */
};

/* Value of `filters` (array): for each group, by the lowest bit of the generation. */
struct tip_filter {
	__u64 digits[TIP_FILTER_DIGITS][TIP_FILTER_VALUES]; /* clauses that the value allows */
	struct tip_filter_names path;
	struct tip_filter_names second; /* of calls: their second path */
	__u64 comms;                    /* of execs: clauses with a comm */
	__u64 kinds;                    /* clauses that do not allow every kind of descriptor */
	__u64 users;                    /* clauses that do not allow every user */
};
#define TIP_FILTER_AT(generation, group) (TIP_FILTER_GROUPS * ((generation) & 1) + (group))

/*
 * Key of `filter_names`: the front of a name, or its end, backwards. A whole name has its NUL, and
 * is there by its last component too, which is all that a relative name tells of it.
 */
#define TIP_FILTER_TEXT      192 /* longer names are told */
#define TIP_FILTER_SUFFIX    64  /* longer ends are cut */
#define TIP_FILTER_BACKWARDS (1u << 8)
#define TIP_FILTER_COMM      (1u << 9)
#define TIP_FILTER_SECOND    (1u << 10) /* it is the second path */
#define TIP_FILTER_COMM_SIZE 16         /* of comm, with its NUL */
struct tip_filter_key {
	__u32 prefixlen; /* bits: 64 + 8 * length */
	__u32 generation;
	__u32 table; /* TIP_FILTER_*, with TIP_FILTER_BACKWARDS for ends, _COMM, _SECOND */
	char text[TIP_FILTER_TEXT];
};

/* Which clauses have such a name in a slot. Shorter prefixes are flattened in. */
struct tip_filter_match {
	__u64 meets[TIP_FILTER_SLOTS];
	__u64 near[TIP_FILTER_SLOTS]; /* of ends: it is the last component of such a name */
};

#endif
