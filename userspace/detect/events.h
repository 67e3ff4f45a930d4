/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_DETECT_EVENTS_H
#define TIP_DETECT_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "sensor/sensor.h"

/*
 * Our events as the language tells them apart. One event may answer to several names: the sensor
 * does not say whether it was accept or accept4.
 */
enum tip_code {
	TIP_CODE_OPEN,
	TIP_CODE_OPENAT,
	TIP_CODE_OPENAT2,
	TIP_CODE_CREAT,
	TIP_CODE_OPEN_BY_HANDLE_AT,
	TIP_CODE_EXECVE,
	TIP_CODE_EXECVEAT,
	TIP_CODE_CLONE,
	TIP_CODE_PROCEXIT,
	TIP_CODE_UID_CHANGE,
	TIP_CODE_GID_CHANGE,
	TIP_CODE_CGROUP,
	TIP_CODE_CONNECT,
	TIP_CODE_ACCEPT,
	TIP_CODE_BIND,
	TIP_CODE_LISTEN,
	TIP_CODE_KILL,
	TIP_CODE_TKILL,
	TIP_CODE_TGKILL,
	TIP_CODE_PTRACE,
	TIP_CODE_MOUNT,
	TIP_CODE_UMOUNT,
	TIP_CODE_UMOUNT2,
	TIP_CODE_MOVE_MOUNT,
	TIP_CODE_INIT_MODULE,
	TIP_CODE_FINIT_MODULE,
	TIP_CODE_MMAP,
	TIP_CODE_MPROTECT,
	TIP_CODE_PKEY_MPROTECT,
	/* from here on TIP_EV_CALL: told only where a rule names them */
	TIP_CODE_LINK,
	TIP_CODE_LINKAT,
	TIP_CODE_SYMLINK,
	TIP_CODE_SYMLINKAT,
	TIP_CODE_RENAME,
	TIP_CODE_RENAMEAT,
	TIP_CODE_RENAMEAT2,
	TIP_CODE_UNLINK,
	TIP_CODE_UNLINKAT,
	TIP_CODE_RMDIR,
	TIP_CODE_MKDIR,
	TIP_CODE_MKDIRAT,
	TIP_CODE_MKNOD,
	TIP_CODE_MKNODAT,
	TIP_CODE_CHMOD,
	TIP_CODE_FCHMOD,
	TIP_CODE_FCHMODAT,
	TIP_CODE_FCHMODAT2,
	TIP_CODE_CHOWN,
	TIP_CODE_LCHOWN,
	TIP_CODE_FCHOWN,
	TIP_CODE_FCHOWNAT,
	TIP_CODE_DUP,
	TIP_CODE_DUP2,
	TIP_CODE_DUP3,
	TIP_CODE_SOCKET,
	TIP_CODE_SOCKETPAIR,
	TIP_CODE_SHUTDOWN,
	TIP_CODE_SENDTO,
	TIP_CODE_SENDMSG,
	TIP_CODE_SENDMMSG,
	TIP_CODE_RECVFROM,
	TIP_CODE_RECVMSG,
	TIP_CODE_RECVMMSG,
	TIP_CODE_READ,
	TIP_CODE_READV,
	TIP_CODE_PREAD,
	TIP_CODE_PREADV,
	TIP_CODE_WRITE,
	TIP_CODE_WRITEV,
	TIP_CODE_PWRITE,
	TIP_CODE_PWRITEV,
	TIP_CODE_CLOSE,
	TIP_CODE_SPLICE,
	TIP_CODE_FCNTL,
	TIP_CODE_IOCTL,
	TIP_CODE_SETNS,
	TIP_CODE_UNSHARE,
	TIP_CODE_SETSID,
	TIP_CODE_SETPGID,
	TIP_CODE_CHDIR,
	TIP_CODE_FCHDIR,
	TIP_CODE_CHROOT,
	TIP_CODE_BPF,
	TIP_CODE_USERFAULTFD,
	TIP_CODE_MEMFD_CREATE,
	TIP_CODE_PRCTL,
	TIP_CODE_PIPE,
	TIP_CODE_PIPE2,
	TIP_CODE_DELETE_MODULE,
	TIP_CODE_SETUID,
	TIP_CODE_SETREUID,
	TIP_CODE_SETRESUID,
	TIP_CODE_SETGID,
	TIP_CODE_SETREGID,
	TIP_CODE_SETRESGID,
	TIP_CODE_OTHER, /* any other system call, told apart by its number */
	TIP_CODE_MAX
};

/* A set of events by their codes: there are more than 64 of them. */
__extension__ typedef unsigned __int128 tip_codes;
#define TIP_CODE_BIT(code) ((tip_codes)1 << (code))
_Static_assert(TIP_CODE_MAX < 128, "widen tip_codes");

#define TIP_CODES_ALL (TIP_CODE_BIT(TIP_CODE_MAX) - 1)
#define TIP_CODES_OPEN                                                                             \
	(TIP_CODE_BIT(TIP_CODE_OPEN) | TIP_CODE_BIT(TIP_CODE_OPENAT) |                             \
	 TIP_CODE_BIT(TIP_CODE_OPENAT2) | TIP_CODE_BIT(TIP_CODE_CREAT) |                           \
	 TIP_CODE_BIT(TIP_CODE_OPEN_BY_HANDLE_AT))
#define TIP_CODES_EXEC (TIP_CODE_BIT(TIP_CODE_EXECVE) | TIP_CODE_BIT(TIP_CODE_EXECVEAT))
#define TIP_CODES_CRED (TIP_CODE_BIT(TIP_CODE_UID_CHANGE) | TIP_CODE_BIT(TIP_CODE_GID_CHANGE))
#define TIP_CODES_SETID                                                                            \
	(TIP_CODE_BIT(TIP_CODE_SETUID) | TIP_CODE_BIT(TIP_CODE_SETREUID) |                         \
	 TIP_CODE_BIT(TIP_CODE_SETRESUID) | TIP_CODE_BIT(TIP_CODE_SETGID) |                        \
	 TIP_CODE_BIT(TIP_CODE_SETREGID) | TIP_CODE_BIT(TIP_CODE_SETRESGID))
#define TIP_CODES_SOCK                                                                             \
	(TIP_CODE_BIT(TIP_CODE_CONNECT) | TIP_CODE_BIT(TIP_CODE_ACCEPT) |                          \
	 TIP_CODE_BIT(TIP_CODE_BIND) | TIP_CODE_BIT(TIP_CODE_LISTEN))

#define TIP_CODES_SIGNAL                                                                           \
	(TIP_CODE_BIT(TIP_CODE_KILL) | TIP_CODE_BIT(TIP_CODE_TKILL) | TIP_CODE_BIT(TIP_CODE_TGKILL))
#define TIP_CODES_MOUNT                                                                            \
	(TIP_CODE_BIT(TIP_CODE_MOUNT) | TIP_CODE_BIT(TIP_CODE_UMOUNT) |                            \
	 TIP_CODE_BIT(TIP_CODE_UMOUNT2) | TIP_CODE_BIT(TIP_CODE_MOVE_MOUNT))
#define TIP_CODES_MODULE   (TIP_CODE_BIT(TIP_CODE_INIT_MODULE) | TIP_CODE_BIT(TIP_CODE_FINIT_MODULE))
#define TIP_CODES_MPROTECT (TIP_CODE_BIT(TIP_CODE_MPROTECT) | TIP_CODE_BIT(TIP_CODE_PKEY_MPROTECT))
#define TIP_CODES_MMAP     (TIP_CODE_BIT(TIP_CODE_MMAP) | TIP_CODES_MPROTECT)
#define TIP_CODES_CALL                                                                             \
	(TIP_CODES_SIGNAL | TIP_CODE_BIT(TIP_CODE_PTRACE) | TIP_CODES_MOUNT | TIP_CODES_MODULE |   \
	 TIP_CODES_MMAP)
/* Told only where a rule names them. */
#define TIP_CODES_NAMED (TIP_CODES_ALL & ~(TIP_CODE_BIT(TIP_CODE_LINK) - 1))
#define TIP_CODES_SEND                                                                             \
	(TIP_CODE_BIT(TIP_CODE_SENDTO) | TIP_CODE_BIT(TIP_CODE_SENDMSG) |                          \
	 TIP_CODE_BIT(TIP_CODE_SENDMMSG))
#define TIP_CODES_RECV                                                                             \
	(TIP_CODE_BIT(TIP_CODE_RECVFROM) | TIP_CODE_BIT(TIP_CODE_RECVMSG) |                        \
	 TIP_CODE_BIT(TIP_CODE_RECVMMSG))
#define TIP_CODES_READ                                                                             \
	(TIP_CODES_RECV | TIP_CODE_BIT(TIP_CODE_READ) | TIP_CODE_BIT(TIP_CODE_READV) |             \
	 TIP_CODE_BIT(TIP_CODE_PREAD) | TIP_CODE_BIT(TIP_CODE_PREADV))
#define TIP_CODES_WRITE                                                                            \
	(TIP_CODES_SEND | TIP_CODE_BIT(TIP_CODE_WRITE) | TIP_CODE_BIT(TIP_CODE_WRITEV) |           \
	 TIP_CODE_BIT(TIP_CODE_PWRITE) | TIP_CODE_BIT(TIP_CODE_PWRITEV))
#define TIP_CODES_DUP                                                                              \
	(TIP_CODE_BIT(TIP_CODE_DUP) | TIP_CODE_BIT(TIP_CODE_DUP2) | TIP_CODE_BIT(TIP_CODE_DUP3))
/* Calls about a descriptor, of whatever kind. */
#define TIP_CODES_DESC                                                                             \
	(TIP_CODES_READ | TIP_CODES_WRITE | TIP_CODES_DUP | TIP_CODE_BIT(TIP_CODE_SOCKET) |        \
	 TIP_CODE_BIT(TIP_CODE_SHUTDOWN) | TIP_CODE_BIT(TIP_CODE_FCHMOD) |                         \
	 TIP_CODE_BIT(TIP_CODE_FCHOWN) | TIP_CODE_BIT(TIP_CODE_CLOSE) |                            \
	 TIP_CODE_BIT(TIP_CODE_SPLICE) | TIP_CODE_BIT(TIP_CODE_FCNTL) |                            \
	 TIP_CODE_BIT(TIP_CODE_IOCTL) | TIP_CODE_BIT(TIP_CODE_SETNS) |                             \
	 TIP_CODE_BIT(TIP_CODE_FCHDIR) | TIP_CODE_BIT(TIP_CODE_USERFAULTFD) |                      \
	 TIP_CODE_BIT(TIP_CODE_MEMFD_CREATE) | TIP_CODE_BIT(TIP_CODE_OTHER))

/* Calls with a descriptor of a file. */
#define TIP_CODES_FILE (TIP_CODE_BIT(TIP_CODE_FINIT_MODULE) | TIP_CODE_BIT(TIP_CODE_MMAP))

/* Event names of the language, by number. */
#define TIP_EVENT_NAMES_MAX 640
int tip_event_name_count(void);
const char *tip_event_name(int number);
/* The number of a name, -1: not known. */
int tip_event_number(const char *name);
/* The codes that answer to the name. */
tip_codes tip_event_codes(int number);
/* The system call of the name, if it is told only where a rule names it; -1 otherwise. */
int tip_event_call(int number);

struct tip_event_set {
	uint64_t w[TIP_EVENT_NAMES_MAX / 64];
};
int tip_event_set_count(const struct tip_event_set *s);
bool tip_event_set_has(const struct tip_event_set *s, int number);

/* The code of an event, or TIP_CODE_MAX for one that no rule sees. */
enum tip_code tip_event_code(const struct tip_event *ev);
/* The code of a TIP_CALL_*; TIP_CODE_MAX: of TIP_CALL_SYSCALL its number says more. */
enum tip_code tip_call_code(unsigned int call);
/* The name under which an event of that code is shown; "" for TIP_CODE_OTHER. */
const char *tip_code_name(enum tip_code code);
/* The same of an event that has a code. */
const char *tip_event_shown(const struct tip_event *ev, enum tip_code code);
/* Bits 1 << TIP_EV_* of the records that may carry one of the codes. */
uint64_t tip_codes_to_events(tip_codes codes);

#endif
