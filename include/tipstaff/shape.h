/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef TIPSTAFF_SHAPE_H
#define TIPSTAFF_SHAPE_H

/* System calls as the table of the keeper (userspace/sensor/syscalls.c) tells them to the kernel
 * programs. Part of abi.h. */

#define TIP_SYSCALLS    512    /* numbers of the 64-bit table that are looked at */
#define TIP_NO_SYSCALL  0xffff /* a 32-bit call that the 64-bit table has not */
#define TIP_SOCKETCALLS 32     /* those behind socketcall(), and some room */

/* Who handles the exit of a system call: index into the map `handlers`. */
enum tip_handler {
	TIP_HANDLER_NONE,
	TIP_HANDLER_OPEN,
	TIP_HANDLER_CONNECT,
	TIP_HANDLER_ACCEPT,
	TIP_HANDLER_BIND,
	TIP_HANDLER_LISTEN,
	TIP_HANDLER_SETID,
	TIP_HANDLER_CALL,  /* the calls in sensor/call.h */
	TIP_HANDLER_OTHER, /* TIP_EV_CALL */
	TIP_HANDLER_MAX
};
#define TIP_HANDLER_IA32 0x80

/*
 * What a system call takes, for those that one program tells of: `fd` ... are numbers of arguments,
 * counted from 1; 0: it has none.
 */
#define TIP_SHAPE_RESULT  7         /* `fd`: the result */
#define TIP_SHAPE_PAIR(n) (8 + (n)) /* `fd`: the first of those that argument `n` points at */
struct tip_shape {
	__u8 fd;      /* the descriptor that the call is about */
	__u8 path[2]; /* paths */
	__u8 dir[2];  /* the folders that they start from, 0: the working directory */
	__u8 data;    /* what is read or written: its address, or that of an iovec or msghdr */
	/* An address of a socket; its length is the next argument. Or, by the flags, a size. */
	__u8 addr;
	__u8 flags; /* TIP_SHAPE_* */
};
#define TIP_SHAPE_IN             (1u << 0) /* data comes in: there is as much of it as the result says */
#define TIP_SHAPE_IOV            (1u << 1)  /* `data` is an array of iovec */
#define TIP_SHAPE_MSG            (1u << 2)  /* `data` is a msghdr, or the first of mmsghdr */
#define TIP_SHAPE_LINK           (1u << 3)  /* path[0] is a text that is not looked up */
#define TIP_SHAPE_MODE(n)        ((n) << 4) /* argument `n`, 2 or 3, is a mode; 0: none is */
#define TIP_SHAPE_MODE_OF(flags) ((flags) >> 4 & 3)
#define TIP_SHAPE_FIXED          (1u << 6) /* `data` is `addr` bytes */
#define TIP_SHAPE_ARRAY          (1u << 7) /* `data` is elements of `addr` bytes; how many is next */

/*
 * Strings of TIP_CALL_SYSCALL. There are two paths and two folders, or a file and data: four of
 * TIP_PATH_MAX at most, so all have room.
 */
enum tip_call_text {
	TIP_TEXT_PATH,
	TIP_TEXT_FILE, /* behind `fd`; for a socket in the file system its name there */
	TIP_TEXT_PATH2,
	TIP_TEXT_DATA, /* may hold NULs */
	TIP_TEXT_BASE, /* folder that a relative path starts from */
	TIP_TEXT_BASE2,
	TIP_CALL_TEXTS
};
#define TIP_DATA_MAX 80 /* bytes of data that are told */

#endif
