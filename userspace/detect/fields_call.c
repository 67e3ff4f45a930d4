/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>

#include "base/mem.h"
#include "detect/field.h"

/* evt.arg.NAME of kill, ptrace, mount, modules and memory: the arguments of the calls. */

/* The kernel's; headers of the C library have not all of them. */
#define MODULE_IGNORE_MODVERSIONS 1
#define MODULE_IGNORE_VERMAGIC    2
#define MODULE_COMPRESSED         4

enum kind {
	K_RES,
	K_INT,    /* a number of 32 bits with a sign */
	K_NUMBER, /* 64 bits */
	K_HEX,
	K_SIGNAL,
	K_REQUEST, /* of ptrace */
	K_MOUNT,   /* flags, each kind by its names */
	K_UMOUNT,
	K_PROT,
	K_MAP,
	K_MODULE,
	K_FD,
	K_TEXT,
};

#define BIT(c) TIP_CODE_BIT(TIP_CODE_##c)

/* Which call has which argument, in the order of the language. `n`: of args[] or text[]. */
static const struct {
	tip_codes codes;
	const char *name;
	enum kind kind;
	int n;
} args[] = {
	{TIP_CODES_CALL, "res", K_RES, 0},
	{BIT(KILL), "pid", K_INT, 0},
	{BIT(KILL) | BIT(TKILL), "sig", K_SIGNAL, 1},
	{BIT(TKILL), "tid", K_INT, 0},
	{BIT(TGKILL), "pid", K_INT, 0},
	{BIT(TGKILL), "tid", K_INT, 1},
	{BIT(TGKILL), "sig", K_SIGNAL, 2},
	{BIT(PTRACE), "addr", K_HEX, 2},
	{BIT(PTRACE), "data", K_HEX, 3},
	{BIT(PTRACE), "request", K_REQUEST, 0},
	{BIT(PTRACE), "pid", K_INT, 1},
	{BIT(MOUNT), "dev", K_TEXT, 0},
	{BIT(MOUNT), "dir", K_TEXT, 1},
	{BIT(MOUNT), "type", K_TEXT, 2},
	{BIT(MOUNT), "flags", K_MOUNT, 3},
	{BIT(UMOUNT) | BIT(UMOUNT2), "name", K_TEXT, 0},
	{BIT(UMOUNT2), "flags", K_UMOUNT, 1},
	{BIT(MOVE_MOUNT), "oldpath", K_TEXT, 0},
	{BIT(MOVE_MOUNT), "newpath", K_TEXT, 1},
	{BIT(INIT_MODULE), "img", K_HEX, 0},
	{BIT(INIT_MODULE), "length", K_NUMBER, 1},
	{BIT(FINIT_MODULE), "fd", K_FD, 0},
	{TIP_CODES_MODULE, "uargs", K_TEXT, 0},
	{BIT(FINIT_MODULE), "flags", K_MODULE, 2},
	{TIP_CODES_MMAP, "addr", K_HEX, 0},
	{TIP_CODES_MMAP, "length", K_NUMBER, 1},
	{TIP_CODES_MMAP, "prot", K_PROT, 2},
	{BIT(MMAP), "flags", K_MAP, 3},
	{BIT(MMAP), "fd", K_FD, 4},
	{BIT(MMAP), "offset", K_NUMBER, 5},
};

/* ---- names of numbers ----------------------------------------------------------------------- */

struct named {
	uint64_t value;
	const char *name;
};

/* "A|B", or `none` when no bit has a name. */
static void flags_text(struct tip_extract *x, uint64_t value, const struct named *names,
		       size_t count, const char *none, struct tip_value *out)
{
	size_t size = 1, n = 0;
	char *s;

	for (size_t i = 0; i < count; i++)
		size += strlen(names[i].name) + 1;
	s = tip_scratch_alloc(x->scratch, size);
	for (size_t i = 0; i < count; i++)
		if (value & names[i].value)
			n += (size_t)snprintf(s + n, size - n, "%s%s", n ? "|" : "", names[i].name);
	if (n)
		tip_value_strn(out, s, n);
	else
		tip_value_str(out, none);
}

static void mount_flags(struct tip_extract *x, uint64_t value, struct tip_value *out)
{
	static const struct named names[] = {
		{MS_RDONLY, "RDONLY"},
		{MS_NOSUID, "NOSUID"},
		{MS_NODEV, "NODEV"},
		{MS_NOEXEC, "NOEXEC"},
		{MS_SYNCHRONOUS, "SYNCHRONOUS"},
		{MS_REMOUNT, "REMOUNT"},
		{MS_MANDLOCK, "MANDLOCK"},
		{MS_DIRSYNC, "DIRSYNC"},
		{MS_NOATIME, "NOATIME"},
		{MS_NODIRATIME, "NODIRATIME"},
		{MS_BIND, "BIND"},
		{MS_MOVE, "MOVE"},
		{MS_REC, "REC"},
		{MS_SILENT, "SILENT"},
		{MS_POSIXACL, "POSIXACL"},
		{MS_UNBINDABLE, "UNBINDABLE"},
		{MS_PRIVATE, "PRIVATE"},
		{MS_SLAVE, "SLAVE"},
		{MS_SHARED, "SHARED"},
		{MS_RELATIME, "RELATIME"},
		{MS_KERNMOUNT, "KERNMOUNT"},
		{MS_I_VERSION, "I_VERSION"},
		{MS_STRICTATIME, "STRICTATIME"},
		{MS_LAZYTIME, "LAZYTIME"},
	};

	/* An old program's magic number in the upper half means nothing, to the kernel neither. */
	if ((value & 0xffff0000u) == MS_MGC_VAL)
		value &= 0xffff;
	flags_text(x, value, names, TIP_ARRAY_SIZE(names), "0", out);
}

static void umount_flags(struct tip_extract *x, uint64_t value, struct tip_value *out)
{
	static const struct named names[] = {
		{MNT_FORCE, "FORCE"},
		{MNT_DETACH, "DETACH"},
		{MNT_EXPIRE, "EXPIRE"},
		{UMOUNT_NOFOLLOW, "NOFOLLOW"},
	};

	flags_text(x, value, names, TIP_ARRAY_SIZE(names), "0", out);
}

static void prot_flags(struct tip_extract *x, uint64_t value, struct tip_value *out)
{
	static const struct named names[] = {
		{PROT_READ, "PROT_READ"},           {PROT_WRITE, "PROT_WRITE"},
		{PROT_EXEC, "PROT_EXEC"},           {0x8, "PROT_SEM"},
		{PROT_GROWSDOWN, "PROT_GROWSDOWN"}, {PROT_GROWSUP, "PROT_GROWSUP"},
	};

	flags_text(x, value, names, TIP_ARRAY_SIZE(names), "PROT_NONE", out);
}

static void map_flags(struct tip_extract *x, uint64_t value, struct tip_value *out)
{
	static const struct named names[] = {
		{MAP_SHARED, "MAP_SHARED"},         {MAP_PRIVATE, "MAP_PRIVATE"},
		{MAP_FIXED, "MAP_FIXED"},           {MAP_ANONYMOUS, "MAP_ANONYMOUS"},
		{MAP_32BIT, "MAP_32BIT"},           {MAP_NORESERVE, "MAP_NORESERVE"},
		{MAP_POPULATE, "MAP_POPULATE"},     {MAP_NONBLOCK, "MAP_NONBLOCK"},
		{MAP_GROWSDOWN, "MAP_GROWSDOWN"},   {MAP_DENYWRITE, "MAP_DENYWRITE"},
		{MAP_EXECUTABLE, "MAP_EXECUTABLE"}, {MAP_LOCKED, "MAP_LOCKED"},
	};

	flags_text(x, value, names, TIP_ARRAY_SIZE(names), "0", out);
}

static void module_flags(struct tip_extract *x, uint64_t value, struct tip_value *out)
{
	static const struct named names[] = {
		{MODULE_IGNORE_MODVERSIONS, "MODULE_INIT_IGNORE_MODVERSIONS"},
		{MODULE_IGNORE_VERMAGIC, "MODULE_INIT_IGNORE_VERMAGIC"},
		{MODULE_COMPRESSED, "MODULE_INIT_COMPRESSED_FILE"},
	};

	flags_text(x, value, names, TIP_ARRAY_SIZE(names), "0", out);
}

static void signal_name(struct tip_extract *x, uint64_t value, struct tip_value *out)
{
	const char *name = sigabbrev_np((int)value);

	if (name)
		tip_value_fmt(x, out, "SIG%s", name);
	else
		tip_value_fmt(x, out, "%d", (int)value);
}

static void request_name(uint64_t value, struct tip_value *out)
{
	static const struct named names[] = {
		{PTRACE_TRACEME, "PTRACE_TRACEME"},
		{PTRACE_PEEKTEXT, "PTRACE_PEEKTEXT"},
		{PTRACE_PEEKDATA, "PTRACE_PEEKDATA"},
		{PTRACE_PEEKUSER, "PTRACE_PEEKUSR"},
		{PTRACE_POKETEXT, "PTRACE_POKETEXT"},
		{PTRACE_POKEDATA, "PTRACE_POKEDATA"},
		{PTRACE_POKEUSER, "PTRACE_POKEUSR"},
		{PTRACE_CONT, "PTRACE_CONT"},
		{PTRACE_KILL, "PTRACE_KILL"},
		{PTRACE_SINGLESTEP, "PTRACE_SINGLESTEP"},
		{PTRACE_GETREGS, "PTRACE_GETREGS"},
		{PTRACE_SETREGS, "PTRACE_SETREGS"},
		{PTRACE_GETFPREGS, "PTRACE_GETFPREGS"},
		{PTRACE_SETFPREGS, "PTRACE_SETFPREGS"},
		{PTRACE_ATTACH, "PTRACE_ATTACH"},
		{PTRACE_DETACH, "PTRACE_DETACH"},
		{PTRACE_GETFPXREGS, "PTRACE_GETFPXREGS"},
		{PTRACE_SETFPXREGS, "PTRACE_SETFPXREGS"},
		{21, "PTRACE_OLDSETOPTIONS"},
		{PTRACE_SYSCALL, "PTRACE_SYSCALL"},
		{PTRACE_GET_THREAD_AREA, "PTRACE_GET_THREAD_AREA"},
		{PTRACE_SET_THREAD_AREA, "PTRACE_SET_THREAD_AREA"},
		{PTRACE_ARCH_PRCTL, "PTRACE_ARCH_PRCTL"},
		{PTRACE_SYSEMU, "PTRACE_SYSEMU"},
		{PTRACE_SYSEMU_SINGLESTEP, "PTRACE_SYSEMU_SINGLESTEP"},
		{PTRACE_SINGLEBLOCK, "PTRACE_SINGLEBLOCK"},
		{PTRACE_SETOPTIONS, "PTRACE_SETOPTIONS"},
		{PTRACE_GETEVENTMSG, "PTRACE_GETEVENTMSG"},
		{PTRACE_GETSIGINFO, "PTRACE_GETSIGINFO"},
		{PTRACE_SETSIGINFO, "PTRACE_SETSIGINFO"},
		{PTRACE_GETREGSET, "PTRACE_GETREGSET"},
		{PTRACE_SETREGSET, "PTRACE_SETREGSET"},
		{PTRACE_SEIZE, "PTRACE_SEIZE"},
		{PTRACE_INTERRUPT, "PTRACE_INTERRUPT"},
		{PTRACE_LISTEN, "PTRACE_LISTEN"},
		{PTRACE_PEEKSIGINFO, "PTRACE_PEEKSIGINFO"},
		{PTRACE_GETSIGMASK, "PTRACE_GETSIGMASK"},
		{PTRACE_SETSIGMASK, "PTRACE_SETSIGMASK"},
	};

	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++) {
		if (names[i].value == value) {
			tip_value_str(out, names[i].name);
			return;
		}
	}
	tip_value_str(out, "PTRACE_UNKNOWN");
}

/* ---- values ---------------------------------------------------------------------------------- */

static void descriptor(struct tip_extract *x, uint64_t fd, struct tip_value *out)
{
	struct tip_value name = {0};

	tip_extract_fd_name(x, &name);
	if (name.set)
		tip_value_fmt(x, out, "<f>%s", name.str.s);
	else
		tip_value_fmt(x, out, "%d", (int)fd);
}

/* `raw`: flags and signals as numbers. */
static void extract(struct tip_extract *x, size_t i, bool raw, struct tip_value *out)
{
	const struct tip_event *ev = x->in->ev;
	const uint64_t value = args[i].kind == K_TEXT ? 0 : ev->call.data->args[args[i].n];

	switch (args[i].kind) {
	case K_RES:
		if (ev->hdr->ret < 0 && !raw)
			tip_value_str(out, tip_errno_name(ev->hdr->ret));
		else
			tip_value_fmt(x, out, "%lld", (long long)ev->hdr->ret);
		return;
	case K_INT: tip_value_fmt(x, out, "%d", (int)value); return;
	case K_NUMBER: tip_value_fmt(x, out, "%llu", (unsigned long long)value); return;
	case K_HEX: tip_value_fmt(x, out, "%llX", (unsigned long long)value); return;
	case K_TEXT: tip_value_str(out, ev->call.text[args[i].n]); return;
	default: break;
	}
	if (raw) {
		tip_value_fmt(x, out, "%lld", (long long)(int32_t)value);
		return;
	}
	switch (args[i].kind) {
	case K_SIGNAL: signal_name(x, value, out); break;
	case K_REQUEST: request_name(value, out); break;
	case K_MOUNT: mount_flags(x, value, out); break;
	case K_UMOUNT: umount_flags(x, value, out); break;
	case K_PROT: prot_flags(x, value, out); break;
	case K_MAP: map_flags(x, value, out); break;
	case K_MODULE: module_flags(x, value, out); break;
	default: descriptor(x, value, out); break;
	}
}

void tip_extract_call_arg(struct tip_extract *x, const char *name, bool raw, struct tip_value *out)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		if (!(args[i].codes & TIP_CODE_BIT(x->code)) || strcmp(args[i].name, name) != 0)
			continue;
		extract(x, i, raw, out);
		return;
	}
}

void tip_extract_call_args(struct tip_extract *x, struct tip_value *out)
{
	struct tip_value v[TIP_ARRAY_SIZE(args)] = {0};
	size_t size = 1, n = 0;
	char *s;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++) {
		if (!(args[i].codes & TIP_CODE_BIT(x->code)))
			continue;
		extract(x, i, false, &v[i]);
		size += strlen(args[i].name) + v[i].str.len + 2;
	}
	s = tip_scratch_alloc(x->scratch, size);
	for (size_t i = 0; i < TIP_ARRAY_SIZE(args); i++)
		if (v[i].set)
			n += (size_t)snprintf(s + n, size - n, "%s%s=%s", n ? " " : "",
					      args[i].name, v[i].str.s);
	tip_value_strn(out, s, n);
}
