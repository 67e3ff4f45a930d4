/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "detect/field.h"

/* user.*, group.* and our own spiffe.*: who the process is. */

#define LOGINUID_UNSET UINT32_MAX

static void user_uid(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_value_int(out, x->in->ev->hdr->uid);
}

/* Stands for the name of who is in no file; rules compare with it. */
#define NOBODY "<NA>"

enum { USER_NAME, USER_HOME, USER_SHELL };

static void user_text(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	static const struct tip_user root = {"root", "/root", NOBODY};
	static const struct tip_user nobody = {NOBODY, NOBODY, NOBODY};
	const uint32_t uid = x->in->ev->hdr->uid;
	const struct tip_user *u = tip_user_by_uid(x->users, uid, x->in->time_ns);

	if (!u)
		u = uid ? &nobody : &root;
	tip_value_str(out, ref->field->a == USER_NAME   ? u->name
			   : ref->field->a == USER_HOME ? u->home
							: u->shell);
}

static void loginuid(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	if (x->in->proc)
		tip_value_int(out, x->in->proc->loginuid == LOGINUID_UNSET
					   ? -1
					   : (int64_t)x->in->proc->loginuid);
}

static void loginname(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_user *u = NULL;
	uint32_t uid;

	if (!x->in->proc)
		return;
	uid = x->in->proc->loginuid;
	if (uid != LOGINUID_UNSET)
		u = tip_user_by_uid(x->users, uid, x->in->time_ns);
	tip_value_str(out, u ? u->name : uid ? NOBODY : "root");
}

static void group_gid(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	tip_value_int(out, x->in->ev->hdr->gid);
}

static void group_name(struct tip_extract *x, const struct tip_field_ref *ref,
		       struct tip_value *out)
{
	const uint32_t gid = x->in->ev->hdr->gid;
	const char *name = tip_group_by_gid(x->users, gid, x->in->time_ns);

	tip_value_str(out, name ? name : gid ? NOBODY : "root");
}

enum { SPIFFE_ID, SPIFFE_ORIGIN, SPIFFE_DOMAIN, SPIFFE_PATH, SPIFFE_PARENT };

static void spiffe(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_process *p = tip_extract_ancestor(x, ref->field->a == SPIFFE_PARENT);
	const char *id, *host, *slash;

	if (!p)
		return;
	id = ref->field->a == SPIFFE_ORIGIN ? p->origin_id : p->spiffe_id;
	/* a lineage that has had one identity only: that is where it comes from */
	if (!id && ref->field->a == SPIFFE_ORIGIN)
		id = p->spiffe_id;
	if (!id)
		return;
	if (ref->field->a != SPIFFE_DOMAIN && ref->field->a != SPIFFE_PATH) {
		tip_value_str(out, id);
		return;
	}
	if (strncmp(id, "spiffe://", 9) != 0)
		return;
	host = id + 9;
	slash = strchrnul(host, '/');
	if (ref->field->a == SPIFFE_PATH)
		tip_value_str(out, slash);
	else
		tip_value_fmt(x, out, "%.*s", (int)(slash - host), host);
}

static void origin_replaced(struct tip_extract *x, const struct tip_field_ref *ref,
			    struct tip_value *out)
{
	const struct tip_process *p = x->in->proc;
	int replaced = p ? tip_process_origin_replaced(x->in->table, p) : -1;

	if (replaced >= 0)
		tip_value_int(out, replaced);
}

/* What the executable hashes to, if somebody knows. */
static void exe_digest(struct tip_extract *x, const struct tip_field_ref *ref,
		       struct tip_value *out)
{
	const struct tip_match_ops *ops = x->in->ops;
	const char *text = ops && x->in->proc ? ops->digest(ops->ctx, x->in->proc) : NULL;

	if (text)
		tip_value_str(out, text);
}

enum { PEER_ID, PEER_FIRST, PEER_SINCE };

static void peer(struct tip_extract *x, const struct tip_field_ref *ref, struct tip_value *out)
{
	const struct tip_match_ops *ops = x->in->ops;
	struct tip_match_peer is;

	if (!ops || !x->in->proc || !ops->peer(ops->ctx, x->in->ev, x->in->proc, &is))
		return;
	if (ref->field->a == PEER_ID)
		tip_value_str(out, is.id);
	else if (is.dialled)
		tip_value_int(out, ref->field->a == PEER_FIRST ? is.first : (int64_t)is.since_ns);
}

#define ALL TIP_CODES_ALL

static const struct tip_field fields[] = {
	TIP_FIELD("user.uid", TIP_T_UINT, 0, ALL, user_uid, 0, 0, "user ID"),
	TIP_FIELD("user.name", TIP_T_STRING, 0, ALL, user_text, USER_NAME, 0,
		  "user name, from /etc/passwd"),
	TIP_FIELD("user.homedir", TIP_T_STRING, 0, ALL, user_text, USER_HOME, 0, "home directory"),
	TIP_FIELD("user.shell", TIP_T_STRING, 0, ALL, user_text, USER_SHELL, 0, "login shell"),
	TIP_FIELD("user.loginuid", TIP_T_INT, 0, ALL, loginuid, 0, 0,
		  "user who logged in, -1: none"),
	TIP_FIELD("user.loginname", TIP_T_STRING, 0, ALL, loginname, 0, 0,
		  "its name, '<NA>' for none"),
	TIP_FIELD("group.gid", TIP_T_UINT, 0, ALL, group_gid, 0, 0, "group ID"),
	TIP_FIELD("group.name", TIP_T_STRING, 0, ALL, group_name, 0, 0,
		  "group name, from /etc/group"),
	TIP_FIELD("spiffe.id", TIP_T_STRING, 0, ALL, spiffe, SPIFFE_ID, 0,
		  "SPIFFE ID of the process, unset when it has none"),
	TIP_FIELD("spiffe.origin.id", TIP_T_STRING, 0, ALL, spiffe, SPIFFE_ORIGIN, 0,
		  "the last SPIFFE ID that the lineage held before, or the present one if it is "
		  "the first"),
	TIP_FIELD(
		"spiffe.origin.replaced", TIP_T_BOOL, 0, ALL, origin_replaced, 0, 0,
		"what the process comes from was started anew, and left it behind: processes with "
		"the SPIFFE ID spiffe.origin.id live, and all of them are younger than what left "
		"it "
		"in this lineage. Unset when none lives. Every instance on the node counts"),
	TIP_FIELD("spiffe.trust_domain", TIP_T_STRING, 0, ALL, spiffe, SPIFFE_DOMAIN, 0,
		  "trust domain of spiffe.id"),
	TIP_FIELD("spiffe.path", TIP_T_STRING, 0, ALL, spiffe, SPIFFE_PATH, 0,
		  "path of spiffe.id, with its leading slash"),
	TIP_FIELD("proc.exe.sha256", TIP_T_STRING, 0, ALL, exe_digest, 0, 0,
		  "SHA-256 of the executable in hexadecimal, while a rule reads it. Known at the "
		  "exec where the kernel hashes; elsewhere the daemon reads the file, and it is "
		  "unset until it has"),
	TIP_FIELD("fd.peer.spiffe.id", TIP_T_STRING, 0,
		  TIP_CODE_BIT(TIP_CODE_CONNECT) | TIP_CODE_BIT(TIP_CODE_ACCEPT), peer, PEER_ID, 0,
		  "SPIFFE ID of the other end of a connection that is relayed with mTLS; of an "
		  "accept while that lasts, and unset while clients with different IDs are served "
		  "on that port"),
	TIP_FIELD("fd.peer.spiffe.first", TIP_T_BOOL, 0, TIP_CODE_BIT(TIP_CODE_CONNECT), peer,
		  PEER_FIRST, 0,
		  "spiffe.id has not spoken with fd.peer.spiffe.id from this node before, over "
		  "restarts of the daemon too; 4096 pairs are remembered"),
	TIP_FIELD("fd.peer.spiffe.since", TIP_T_RELTIME, 0, TIP_CODE_BIT(TIP_CODE_CONNECT), peer,
		  PEER_SINCE, 0,
		  "ns from the first connection of spiffe.id that is remembered, with whomever, to "
		  "this one: how long its peers have been learned"),
	TIP_FIELD("spiffe.parent.id", TIP_T_STRING, 0, ALL, spiffe, SPIFFE_PARENT, 0,
		  "SPIFFE ID of the parent process, unset when it has none"),
};

const struct tip_field_table tip_fields_user = {fields, TIP_ARRAY_SIZE(fields)};
