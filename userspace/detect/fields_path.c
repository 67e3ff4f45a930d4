/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "detect/field.h"

/* fs.path.* and evt.abspath: the paths that a call names, whichever of its arguments they are. */

enum { PATH_NAME, PATH_SOURCE, PATH_TARGET, PATH_FIRST, PATH_SECOND };

#define BIT(c)  TIP_CODE_BIT(TIP_CODE_##c)
#define OPEN    TIP_CODES_OPEN
#define UMOUNT  (BIT(UMOUNT) | BIT(UMOUNT2))
#define MOUNT   (BIT(MOUNT) | BIT(MOVE_MOUNT))
#define LINK    (BIT(LINK) | BIT(LINKAT))
#define SYMLINK (BIT(SYMLINK) | BIT(SYMLINKAT))
#define RENAME  (BIT(RENAME) | BIT(RENAMEAT) | BIT(RENAMEAT2))
#define BY_FD   (BIT(FCHMOD) | BIT(FCHOWN))
#define ONE_PATH                                                                                   \
	(BIT(UNLINK) | BIT(UNLINKAT) | BIT(RMDIR) | BIT(MKDIR) | BIT(MKDIRAT) | BIT(MKNOD) |       \
	 BIT(MKNODAT) | BIT(CHMOD) | BIT(FCHMODAT) | BIT(FCHMODAT2) | BIT(CHOWN) | BIT(LCHOWN) |   \
	 BIT(FCHOWNAT) | BIT(CHDIR) | BIT(CHROOT) | BIT(OTHER))
#define TWO_PATHS (MOUNT | LINK | SYMLINK | RENAME)

/* A path as it was given, and the folder that a relative one starts from. */
struct given {
	const char *name, *base;
};

static struct given text(const struct tip_event *ev, bool second)
{
	const char *const *t = ev->call.text;

	return second ? (struct given){t[TIP_TEXT_PATH2], t[TIP_TEXT_BASE2]}
		      : (struct given){t[TIP_TEXT_PATH], t[TIP_TEXT_BASE]};
}

/* Where a symbolic link leads: from the folder that the link stands in. */
static struct given link_target(struct tip_extract *x)
{
	struct given to = text(x->in->ev, false), at = text(x->in->ev, true);
	struct tip_value link = {0};
	const char *slash;
	char *folder;

	to.base = "";
	tip_extract_path(x, at.base, at.name, &link);
	slash = memrchr(link.str.s, '/', link.str.len);
	if (!slash)
		return to;
	folder = tip_scratch_alloc(x->scratch, (size_t)(slash - link.str.s) + 2);
	memcpy(folder, link.str.s, (size_t)(slash - link.str.s) + 1);
	folder[slash - link.str.s + 1] = '\0';
	to.base = folder;
	return to;
}

/* Source and target are what the language takes for them: a link leads from source to target. */
static struct given two_paths(struct tip_extract *x, uint32_t which)
{
	const struct tip_event *ev = x->in->ev;
	tip_codes bit = TIP_CODE_BIT(x->code);
	bool second = which == PATH_TARGET || which == PATH_SECOND;

	if (bit & MOUNT)
		return (struct given){ev->call.text[second], ""};
	if ((bit & SYMLINK) && which == PATH_TARGET)
		return link_target(x);
	if (bit & SYMLINK)
		return text(ev, true);
	if ((bit & LINK) && (which == PATH_SOURCE || which == PATH_TARGET))
		return text(ev, !second);
	return text(ev, second);
}

/* `name` is NULL where the call has no such path. */
static struct given argument(struct tip_extract *x, uint32_t which)
{
	const struct tip_event *ev = x->in->ev;
	tip_codes bit = TIP_CODE_BIT(x->code);
	bool one = which != PATH_SOURCE && which != PATH_TARGET;

	if (one && x->code == TIP_CODE_OPEN_BY_HANDLE_AT)
		return (struct given){which == PATH_NAME ? NULL : ev->open.real, ""};
	if (one && (bit & OPEN))
		return (struct given){ev->open.name, ev->open.base};
	if (one && (bit & UMOUNT))
		return (struct given){ev->call.text[0], ""};
	/* some other text */
	if (x->code == TIP_CODE_OTHER &&
	    (tip_syscall_shape(ev->call.data->nr)->flags & TIP_SHAPE_LINK))
		return (struct given){0};
	if (one && (bit & ONE_PATH))
		return text(ev, false);
	if (one && (bit & BY_FD))
		return (struct given){ev->call.text[TIP_TEXT_FILE], ""};
	if (which != PATH_NAME && (bit & TWO_PATHS))
		return two_paths(x, which);
	return (struct given){0};
}

static void fs_path(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const uint32_t which = ref->field->a;
	struct given path;

	/* As the language has it: nothing was done to the file, unless the call was an open. */
	if (which <= PATH_TARGET && x->in->ev->hdr->ret < 0 && !(OPEN & TIP_CODE_BIT(x->code)))
		return;
	path = argument(x, which);
	if (!path.name || !*path.name)
		return;
	if (ref->field->b)
		tip_value_str(out, path.name);
	else
		tip_extract_path(x, path.base, path.name, out);
}

#define ONE (OPEN | UMOUNT | ONE_PATH | BY_FD)
#define ANY (ONE | TWO_PATHS)

static const struct tip_field fields[] = {
	TIP_FIELD(
		"fs.path.name", TIP_T_PATH, 0, ONE, fs_path, PATH_NAME, 0,
		"the path that the call names, made absolute as fd.name is; of a call that is not "
		"an open, unset when it failed"),
	TIP_FIELD("fs.path.nameraw", TIP_T_PATH, 0, ONE, fs_path, PATH_NAME, 1,
		  "the same as it was given"),
	TIP_FIELD("fs.path.source", TIP_T_PATH, 0, TWO_PATHS, fs_path, PATH_SOURCE, 0,
		  "of a call with two paths, where from; of a link, the link; made absolute as "
		  "fd.name is, unset when the call failed"),
	TIP_FIELD("fs.path.sourceraw", TIP_T_PATH, 0, TWO_PATHS, fs_path, PATH_SOURCE, 1,
		  "the same as it was given"),
	TIP_FIELD("fs.path.target", TIP_T_PATH, 0, TWO_PATHS, fs_path, PATH_TARGET, 0,
		  "of a call with two paths, where to; of a link, what it leads to; made absolute "
		  "as fd.name is, unset when the call failed"),
	TIP_FIELD("fs.path.targetraw", TIP_T_PATH, 0, TWO_PATHS, fs_path, PATH_TARGET, 1,
		  "the same as it was given"),
	TIP_FIELD("evt.abspath", TIP_T_STRING, 0, ANY, fs_path, PATH_FIRST, 0,
		  "absolute path of what the call names, failed or not: of two the first, of a "
		  "symbolic link the link"),
	TIP_FIELD("evt.abspath.src", TIP_T_STRING, 0, ANY, fs_path, PATH_FIRST, 0, "the same"),
	TIP_FIELD("evt.abspath.dst", TIP_T_STRING, 0, ANY, fs_path, PATH_SECOND, 0,
		  "the same, of two paths the second"),
};

const struct tip_field_table tip_fields_path = {fields, TIP_ARRAY_SIZE(fields)};
