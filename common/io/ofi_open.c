/* SPDX-License-Identifier: Apache-2.0
 * Opening libfabric for the net seam: the provider, its domain and queues, addresses, and pools of send buffers. */
#include "common/base/check.h"
#include "common/io/ofi.h"
#include "common/io/ofi_open.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>

int ofi_error(ssize_t rc)
{
	if (rc >= 0)
		return (int)rc;
	int code = (int)-rc;
	switch (code) {
	case FI_EAGAIN:
	case FI_ENOMEM:
		return -ERR_busy;
	case FI_ECONNREFUSED:
		return -ERR_refused;
	case FI_EACCES:
	case FI_EKEYREJECTED:
		return -ERR_bad_key;
	default:
		return code < FI_EOTHER ? -code : -EIO;
	}
}

static struct fi_info *make_hints(const struct ofi_net *net)
{
	struct fi_info *hints = fi_allocinfo();
	CHECK(hints != NULL);
	hints->ep_attr->type = FI_EP_MSG;
	hints->caps = FI_MSG | FI_RMA;
	hints->mode = FI_CONTEXT | FI_CONTEXT2;
	hints->addr_format = FI_FORMAT_UNSPEC;
	hints->fabric_attr->prov_name = strdup(net->provider); /* fi_freeinfo frees it with free() */
	hints->domain_attr->threading = FI_THREAD_DOMAIN;
	hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
	hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
	hints->domain_attr->mr_mode = FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	return hints;
}

int ofi_open(struct ofi_net *net, char error_text[IO_ERROR_TEXT_BYTES])
{
	const char *step = "fi_getinfo";
	struct fi_info *hints = make_hints(net);
	uint64_t flags = net->opts.local_host != NULL ? FI_SOURCE | FI_NUMERICHOST : 0;
	int rc = fi_getinfo(OFI_API_VERSION, net->opts.local_host, NULL, flags, hints, &net->info);
	fi_freeinfo(hints);
	if (rc < 0)
		goto failed;
	step = "fi_fabric";
	rc = fi_fabric(net->info->fabric_attr, &net->fabric, NULL);
	if (rc < 0)
		goto failed;
	step = "fi_domain";
	rc = fi_domain(net->fabric, net->info, &net->domain, NULL);
	if (rc < 0)
		goto failed;
	step = "fi_eq_open";
	struct fi_eq_attr eq_attr = {.size = 1024, .wait_obj = FI_WAIT_FD};
	rc = fi_eq_open(net->fabric, &eq_attr, &net->eq, NULL);
	if (rc < 0)
		goto failed;
	step = "fi_cq_open";
	struct fi_cq_attr cq_attr = {.size = 8192, .format = FI_CQ_FORMAT_MSG, .wait_obj = FI_WAIT_FD};
	rc = fi_cq_open(net->domain, &cq_attr, &net->cq, NULL);
	if (rc < 0)
		goto failed;
	step = "FI_GETWAIT";
	rc = fi_control(&net->eq->fid, FI_GETWAIT, &net->eq_source.fd);
	if (rc == 0)
		rc = fi_control(&net->cq->fid, FI_GETWAIT, &net->cq_source.fd);
	if (rc < 0)
		goto failed;
	int mr_mode = net->info->domain_attr->mr_mode;
	net->wants_local_mr = (mr_mode & FI_MR_LOCAL) != 0;
	net->uses_virt_addr = (mr_mode & FI_MR_VIRT_ADDR) != 0;
	net->uses_prov_key = (mr_mode & FI_MR_PROV_KEY) != 0;
	net->announces = strcmp(net->provider, "tcp") == 0;
	return 0;
failed:
	(void)snprintf(error_text, IO_ERROR_TEXT_BYTES, "libfabric provider \"%s\"%s%s: %s: %s", net->provider,
		       net->opts.local_host != NULL ? " on " : "",
		       net->opts.local_host != NULL ? net->opts.local_host : "", step, fi_strerror(-rc));
	return fail(rc == -FI_ENODATA ? ENODEV : -ofi_error(rc));
}

static void close_fid(struct fid *fid)
{
	if (fid != NULL)
		(void)fi_close(fid); /* nothing is left to be done with an object that cannot be closed */
}

void ofi_shut(struct ofi_net *net)
{
	close_fid(net->cq != NULL ? &net->cq->fid : NULL);
	close_fid(net->eq != NULL ? &net->eq->fid : NULL);
	close_fid(net->domain != NULL ? &net->domain->fid : NULL);
	close_fid(net->fabric != NULL ? &net->fabric->fid : NULL);
	if (net->info != NULL)
		fi_freeinfo(net->info);
}

/* ---- addresses ------------------------------------------------------------------------------------------------ */

/* Splits "tcp://host:port" or "tcp://[v6]:port". */
static int split_address(const char *address, const char *provider, struct ofi_address *ret)
{
	struct ofi_address out = {0};
	size_t provider_len = strlen(provider);
	if (strncmp(address, provider, provider_len) != 0 || strncmp(address + provider_len, "://", 3) != 0)
		return fail(EINVAL);
	const char *host = address + provider_len + 3, *colon = strrchr(host, ':');
	if (colon == NULL || colon[1] == '\0' || strlen(colon + 1) >= sizeof(out.port))
		return fail(EINVAL);
	size_t host_len = (size_t)(colon - host);
	if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
		host++;
		host_len -= 2;
	}
	if (host_len == 0 || host_len >= sizeof(out.host))
		return fail(EINVAL);
	memcpy(out.host, host, host_len);
	(void)snprintf(out.port, sizeof(out.port), "%s", colon + 1);
	*ret = out;
	return 0;
}

static void resolve(void *arg)
{
	struct ofi_address *address = arg;
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICSERV | (address->numeric_only ? AI_NUMERICHOST : 0)};
	struct addrinfo *result = NULL;
	int rc = getaddrinfo(address->host, address->port, &hints, &result);
	if (rc == 0 && result->ai_addrlen <= sizeof(address->sockaddr)) {
		memcpy(&address->sockaddr, result->ai_addr, result->ai_addrlen);
		address->sockaddr_len = result->ai_addrlen;
	}
	if (rc == 0)
		freeaddrinfo(result);
	address->rc = rc != 0 ? -EINVAL : 0;
}

int ofi_address_parse(struct ofi_net *net, const char *text, struct ofi_address *ret)
{
	int rc = split_address(text, net->provider, ret);
	if (rc < 0)
		return rc;
	ret->numeric_only = true;
	task_call_on_loop(net->net.loop, resolve, ret);
	if (ret->rc == 0)
		return 0;
	ret->numeric_only = false; /* a name: asking for it may take long */
	if (task_current(net->net.loop) == NULL) {
		resolve(ret);
	} else {
		if (net->resolver == NULL)
			net->resolver = threads_new(net->net.loop, "resolver", 1);
		threads_call(net->resolver, resolve, ret);
	}
	return ret->rc < 0 ? fail(EINVAL) : 0;
}

void ofi_address_print(const struct ofi_net *net, const void *sockaddr, size_t len, char ret[NET_ADDR_BYTES_MAX])
{
	char host[80], port[16];
	if (sockaddr == NULL || len < sizeof(struct sockaddr_in) ||
	    getnameinfo(sockaddr, (socklen_t)len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
		(void)snprintf(ret, NET_ADDR_BYTES_MAX, "%s://?", net->provider);
		return;
	}
	bool is_v6 = strchr(host, ':') != NULL;
	(void)snprintf(ret, NET_ADDR_BYTES_MAX, "%s://%s%s%s:%s", net->provider, is_v6 ? "[" : "", host,
		       is_v6 ? "]" : "", port);
}

static void *malloc_copy(const void *ptr, size_t len)
{
	void *copy = malloc(len); /* fi_freeinfo frees it with free() */
	CHECK(copy != NULL);
	memcpy(copy, ptr, len);
	return copy;
}

struct fi_info *ofi_info_for(struct ofi_net *net, const struct ofi_address *address, bool is_source)
{
	struct fi_info *info = fi_dupinfo(net->info);
	CHECK(info != NULL);
	bool keeps_source = !is_source && net->opts.local_host != NULL;
	if (!keeps_source) {
		free(info->src_addr);
		info->src_addr = NULL;
		info->src_addrlen = 0;
	}
	free(info->dest_addr);
	info->dest_addr = NULL;
	info->dest_addrlen = 0;
	void *copy = malloc_copy(&address->sockaddr, address->sockaddr_len);
	if (is_source) {
		info->src_addr = copy;
		info->src_addrlen = address->sockaddr_len;
	} else {
		info->dest_addr = copy;
		info->dest_addrlen = address->sockaddr_len;
	}
	info->addr_format = address->sockaddr.ss_family == AF_INET6 ? FI_SOCKADDR_IN6 : FI_SOCKADDR_IN;
	return info;
}

/* ---- send buffers --------------------------------------------------------------------------------------------- */

struct ofi_slab {
	struct ofi_slab *next;
	struct fid_mr *mr;
	uint8_t *memory;
	struct ofi_xfer xfers[];
};

void ofi_pool_init(struct ofi_pool *pool, size_t buf_bytes, size_t per_slab, size_t count_max)
{
	*pool = (struct ofi_pool){.buf_bytes = buf_bytes, .per_slab = per_slab, .count_max = count_max};
	list_init(&pool->free);
}

void ofi_pool_fini(struct ofi_pool *pool)
{
	while (pool->slabs != NULL) {
		struct ofi_slab *slab = pool->slabs;
		pool->slabs = slab->next;
		close_fid(slab->mr != NULL ? &slab->mr->fid : NULL);
		mem_free(slab->memory);
		mem_free(slab);
	}
}

static int pool_grow(struct ofi_net *net, struct ofi_pool *pool)
{
	if (pool->count >= pool->count_max)
		return -ERR_busy; /* an ordinary state, not worth a trace record each time */
	struct ofi_slab *slab = mem_alloc(sizeof(*slab) + pool->per_slab * sizeof(slab->xfers[0]));
	slab->memory = mem_alloc_aligned(4096, pool->per_slab * pool->buf_bytes);
	void *desc = NULL;
	int rc = ofi_register_local(net, slab->memory, pool->per_slab * pool->buf_bytes, &slab->mr, &desc);
	if (rc < 0) {
		mem_free(slab->memory);
		mem_free(slab);
		return fail(ERR_busy);
	}
	slab->next = pool->slabs;
	pool->slabs = slab;
	for (size_t i = 0; i < pool->per_slab; i++) {
		struct ofi_xfer *xfer = &slab->xfers[i];
		*xfer = (struct ofi_xfer){.kind = XFER_SEND, .buf = slab->memory + i * pool->buf_bytes, .desc = desc,
					  .pool = pool};
		list_push_back(&pool->free, &xfer->link);
	}
	pool->count += pool->per_slab;
	return 0;
}

int ofi_pool_get(struct ofi_net *net, struct ofi_pool *pool, struct ofi_xfer **ret_xfer)
{
	if (list_is_empty(&pool->free)) {
		int rc = pool_grow(net, pool);
		if (rc < 0)
			return rc;
	}
	*ret_xfer = CONTAINER_OF(list_pop_front(&pool->free), struct ofi_xfer, link);
	return 0;
}
