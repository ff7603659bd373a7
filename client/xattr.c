/* SPDX-License-Identifier: Apache-2.0
 * Extended attributes: those with our prefix are virtual (vxattr.c), the rest is kept by the MDT. Most inodes have none, and their attributes
 * say so: under a lease on these nobody needs to be asked. Programs ask often: ls -l for ACLs, the kernel for capabilities before a first write. */
#include "client/client_impl.h"

/* True: there is none of that name, and unless it is an access list's, none at all. False: there may be, or it is not known. */
static bool has_none(struct client *client, struct ino ino, struct str name)
{
	uint32_t flag = str_eq(name, STR("system.posix_acl_access")) ? ATTR_HAS_ACL : ATTR_HAS_XATTRS;
	const struct node *node = node_find(client, ino);
	if (node == NULL || !lease_attr_ok(client, node) || (node->attr.flags & flag) != 0)
		return false;
	client->counters.attr_hits++;
	return true;
}

/* It has lost its last name where we had no lease, and the kernel refers to it still: as with its attributes, nothing is an answer. */
static bool is_gone(struct client *client, struct ino ino, int rc)
{
	const struct node *node = rc == -ESTALE ? node_find(client, ino) : NULL;
	return node != NULL && node->lookups > 0;
}

int client_getxattr(struct client *client, struct client_op *op, struct ino ino, struct str name, struct arena *arena,
		    struct blob *ret_value)
{
	if (vxattr_is(name))
		return vxattr_get(client, op, ino, name, arena, ret_value);
	if (has_none(client, ino, name))
		return fail(ENODATA);
	struct getxattr_req req = {.cred = session_cred(op), .ino = ino, .name = name};
	struct getxattr_rep rep;
	int rc = session_mdt_call(client, ino,
				  &(struct call){.op = OP_getxattr, .req = &req, .rep = &rep, .arena = arena, .cred = &req.cred, .who = op});
	if (rc == 0)
		*ret_value = rep.value;
	return is_gone(client, ino, rc) ? fail(ENODATA) : rc;
}

/* What changes them changes the inode's ctime, too: our own idea of it ends, since the MDT recalls from others only. */
static int change(struct client *client, struct ino ino, const struct call *call)
{
	struct node *node = node_get(client, ino);
	uint64_t stamp = lease_change_begin(client, node);
	int rc = session_mdt_call(client, ino, call);
	(void)lease_change_end(client, node, stamp); /* the new attributes are asked for */
	node_put(client, node);
	return rc;
}

int client_setxattr(struct client *client, struct client_op *op, struct ino ino, struct str name, struct blob value, uint32_t flags)
{
	if (vxattr_is(name))
		return vxattr_set(client, op, ino, name, value);
	if (name.len > XATTR_NAME_BYTES_MAX)
		return fail(ERANGE);
	if (value.len > XATTR_VALUE_BYTES_MAX)
		return fail(E2BIG);
	struct setxattr_req req = {.cred = session_cred(op), .ino = ino, .name = name, .value = value, .flags = flags};
	struct setxattr_rep rep;
	return change(client, ino, &(struct call){.op = OP_setxattr, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
}

int client_listxattr(struct client *client, struct client_op *op, struct ino ino, struct arena *arena, struct blob *ret_names)
{
	if (has_none(client, ino, (struct str){0})) {
		*ret_names = blob_of(NULL, 0);
		return 0;
	}
	struct listxattr_req req = {.cred = session_cred(op), .ino = ino};
	struct listxattr_rep rep;
	int rc = session_mdt_call(client, ino,
				  &(struct call){.op = OP_listxattr, .req = &req, .rep = &rep, .arena = arena, .cred = &req.cred, .who = op});
	if (rc == 0)
		*ret_names = rep.names;
	if (!is_gone(client, ino, rc))
		return rc;
	*ret_names = blob_of(NULL, 0);
	return 0;
}

int client_removexattr(struct client *client, struct client_op *op, struct ino ino, struct str name)
{
	if (vxattr_is(name))
		return vxattr_remove(client, op, ino, name);
	struct removexattr_req req = {.cred = session_cred(op), .ino = ino, .name = name};
	struct removexattr_rep rep;
	return change(client, ino, &(struct call){.op = OP_removexattr, .req = &req, .rep = &rep, .cred = &req.cred, .who = op});
}
