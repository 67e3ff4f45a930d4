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
	TIP_CODE_SETUID,
	TIP_CODE_SETGID,
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
#define TIP_CODES_CRED (TIP_CODE_BIT(TIP_CODE_SETUID) | TIP_CODE_BIT(TIP_CODE_SETGID))
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

struct tip_event_set {
	uint64_t w[TIP_EVENT_NAMES_MAX / 64];
};
int tip_event_set_count(const struct tip_event_set *s);

/* The code of an event, or TIP_CODE_MAX for one that no rule sees. */
enum tip_code tip_event_code(const struct tip_event *ev);
/* The name under which an event of that code is shown. */
const char *tip_code_name(enum tip_code code);
/* Bits 1 << TIP_EV_* of the records that may carry one of the codes. */
uint64_t tip_codes_to_events(tip_codes codes);

#endif
