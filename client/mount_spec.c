/* SPDX-License-Identifier: Apache-2.0
 * Takes "MGS:/fsname" and the option lists of mount(8) apart. Reads and keeps nothing. */
#include "client/mount_spec.h"

#include <stdio.h>

static const char scheme_default[] = "tcp://";

static bool fsname_is_valid(struct str name)
{
	if (name.len == 0 || name.len > MOUNT_FSNAME_BYTES_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];
		bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
		if (!is_letter && !(c >= '0' && c <= '9'))
			return false;
	}
	return true;
}

/* The last ":/" that is not that of a "://". */
static const char *find_name(const char *text)
{
	const char *found = NULL;
	for (const char *at = strstr(text, ":/"); at != NULL; at = strstr(at + 1, ":/"))
		if (at[2] != '/')
			found = at;
	return found;
}

static bool address_is_valid(struct str address)
{
	const char *colon = memrchr(address.ptr, ':', address.len);
	if (colon == NULL || colon == address.ptr)
		return false;
	size_t digits = address.len - (size_t)(colon - address.ptr) - 1;
	return digits >= 1 && digits <= 5 && strspn(colon + 1, "0123456789") >= digits;
}

/* Appends the address to mgs, with a scheme. */
static int add_address(struct mount_spec *spec, struct str address)
{
	bool has_scheme = memmem(address.ptr, address.len, "://", 3) != NULL;
	struct str host = address;
	if (has_scheme) {
		host.ptr = (const char *)memmem(address.ptr, address.len, "://", 3) + 3;
		host.len = address.len - (size_t)(host.ptr - address.ptr);
	}
	if (!address_is_valid(host))
		return fail(ERR_conf);
	size_t used = strlen(spec->mgs);
	int len = snprintf(spec->mgs + used, sizeof(spec->mgs) - used, "%s%s%.*s", used > 0 ? "," : "",
			   has_scheme ? "" : scheme_default, (int)address.len, address.ptr);
	return len < 0 || (size_t)len >= sizeof(spec->mgs) - used ? fail(ERR_conf) : 0;
}

int mount_spec_parse(const char *text, struct mount_spec *ret_spec, char ret_error[CONF_ERROR_BYTES_MAX])
{
	struct mount_spec spec = {0};
	const char *end = find_name(text);
	if (end == NULL) {
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "'%.200s': HOST:PORT:/fsname was expected", text);
		return fail(ERR_conf);
	}
	struct str name = str_of(end + 2);
	if (!fsname_is_valid(name)) {
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "'%.200s': the name of a file system is 1 to %d letters and digits", name.ptr,
			       (int)MOUNT_FSNAME_BYTES_MAX);
		return fail(ERR_conf);
	}
	memcpy(spec.fsname, name.ptr, name.len);
	for (const char *at = text; at < end;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		struct str address = {at, (size_t)((comma != NULL ? comma : end) - at)};
		if (add_address(&spec, address) < 0) {
			(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "'%.*s': the address of an MGS is HOST:PORT or tcp://HOST:PORT",
				       (int)min_u64(address.len, 200), address.ptr);
			return fail(ERR_conf);
		}
		at = comma != NULL ? comma + 1 : end;
	}
	if (spec.mgs[0] == '\0') {
		(void)snprintf(ret_error, CONF_ERROR_BYTES_MAX, "'%.200s': the address of the MGS is missing", text);
		return fail(ERR_conf);
	}
	*ret_spec = spec;
	return 0;
}

static bool is_one_of(struct str word, const char *const *words)
{
	for (; *words != NULL; words++)
		if (str_eq(word, str_of(*words)))
			return true;
	return false;
}

static bool begins(struct str word, struct str start)
{
	return word.len >= start.len && memcmp(word.ptr, start.ptr, start.len) == 0;
}

static void append(char *list, struct str word)
{
	size_t used = strlen(list);
	if (used > 0)
		list[used++] = ',';
	memcpy(list + used, word.ptr, word.len);
	list[used + word.len] = '\0';
}

void mount_options_split(const char *list, char *ret_ours, char *ret_kernel)
{
	static const char *const kernels[] = {"suid", "nosuid", "dev", "nodev", "exec", "noexec", "async", "sync", "atime", "noatime",
					      "dirsync", NULL};
	static const char *const nobodys[] = {"rw", "defaults", "_netdev", "auto", "noauto", "user", "nouser", "users", "owner", "group",
					      "nofail", "lazytime", "nolazytime", "iversion", "noiversion", "mand", "nomand", "silent",
					      "loud", NULL};
	/* words of others, and what they are here; the last of several counts */
	static const struct {
		const char *word, *ours;
	} translated[] = {
		{"hard", "soft=false"}, /* NFS's */
		{"relatime", "atime=relatime"}, {"norelatime", "atime=strictatime"}, {"strictatime", "atime=strictatime"},
		{"nostrictatime", "atime=relatime"}, {"atime", "atime=relatime"}, {"noatime", "atime=noatime"},
		{"diratime", "diratime"}, {"nodiratime", "diratime=false"},
	};
	ret_ours[0] = ret_kernel[0] = '\0';
	for (const char *at = list; *at != '\0';) {
		struct str word = {at, strcspn(at, ",")};
		at += word.len + (at[word.len] == ',');
		bool is_ours = false;
		for (size_t i = 0; i < ARRAY_COUNT(translated); i++) {
			if (str_eq(word, str_of(translated[i].word))) {
				append(ret_ours, str_of(translated[i].ours));
				is_ours = true;
			}
		}
		if (is_ours && !is_one_of(word, kernels))
			continue;
		if (word.len == 0 || is_one_of(word, nobodys) || begins(word, STR("x-")) || begins(word, STR("X-")) ||
		    begins(word, STR("comment=")) || begins(word, STR("user=")) || begins(word, STR("uhelper=")) || begins(word, STR("helper=")))
			continue;
		append(is_one_of(word, kernels) ? ret_kernel : ret_ours, word); /* noatime is both's: who looks at the mounts shall see it */
	}
}
