/* SPDX-License-Identifier: Apache-2.0
 * Threads for calls that block. Jobs wait in one queue under a mutex; each thread answers through a mailbox of its own, and an
 * eventfd wakes the loop when it sleeps. A job lives on the stack of the task that waits for it. */
#include "common/base/check.h"
#include "common/core/mbox.h"
#include "common/core/task.h"
#include "common/io/io.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { JOBS_MAX = 1024 }; /* given to the threads at once; further tasks wait */

struct job {
	struct list_node link;
	void (*fn)(void *arg);
	void *arg;
	struct task *task;
	bool done;
};

struct worker {
	struct threads *threads;
	struct io_thread *thread;
	struct mbox *done; /* of struct job * */
	uint32_t id;       /* as the kernel counts it; 0: it has not begun */
};

struct threads {
	struct loop *loop;
	struct loop_source source; /* fd: the eventfd */
	size_t job_count;          /* given out and not yet answered: the loop's */
	struct waitq waitq;        /* tasks beyond JOBS_MAX */
	unsigned worker_count;
	struct worker *workers;
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t cond;
	struct list queue;
	bool stopping;
};

static void worker_main(void *arg)
{
	struct worker *worker = arg;
	struct threads *threads = worker->threads;
	pthread_mutex_lock(&threads->mutex);
	worker->id = (uint32_t)syscall(SYS_gettid);
	pthread_mutex_unlock(&threads->mutex);
	for (;;) {
		pthread_mutex_lock(&threads->mutex);
		while (list_is_empty(&threads->queue) && !threads->stopping)
			pthread_cond_wait(&threads->cond, &threads->mutex);
		struct list_node *node = list_pop_front(&threads->queue);
		pthread_mutex_unlock(&threads->mutex);
		if (node == NULL)
			return;
		struct job *job = CONTAINER_OF(node, struct job, link);
		job->fn(job->arg);
		CHECK(mbox_push(worker->done, &job)); /* it has room for JOBS_MAX */
	}
}

static void wake_loop(void *ctx)
{
	struct threads *threads = ctx;
	(void)eventfd_write(threads->source.fd, 1); /* fails only when the counter is full: then it is readable already */
}

static bool threads_poll(struct loop_source *source)
{
	struct threads *threads = CONTAINER_OF(source, struct threads, source);
	bool any = false;
	for (unsigned i = 0; i < threads->worker_count && threads->job_count > 0; i++) {
		struct job *job;
		while (mbox_pop(threads->workers[i].done, &job)) {
			job->done = true;
			task_wake(job->task);
			threads->job_count--;
			waitq_wake_one(&threads->waitq);
			any = true;
		}
	}
	return any;
}

static bool threads_prepare_sleep(struct loop_source *source)
{
	struct threads *threads = CONTAINER_OF(source, struct threads, source);
	eventfd_t ignored;
	(void)eventfd_read(source->fd, &ignored); /* EAGAIN: it was not set */
	for (unsigned i = 0; i < threads->worker_count; i++)
		if (!mbox_prepare_sleep(threads->workers[i].done))
			return false;
	return true;
}

struct threads *threads_new(struct loop *loop, const char *name, unsigned count)
{
	struct threads *threads = mem_alloc(sizeof(*threads));
	threads->loop = loop;
	list_init(&threads->queue);
	waitq_init(&threads->waitq);
	CHECK(pthread_mutex_init(&threads->mutex, NULL) == 0);
	CHECK(pthread_cond_init(&threads->cond, NULL) == 0);
	threads->source.poll = threads_poll;
	threads->source.prepare_sleep = threads_prepare_sleep;
	threads->source.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	CHECK_MSG(threads->source.fd >= 0, "no file descriptor for a thread pool at start");
	threads->worker_count = count;
	threads->workers = mem_alloc(count * sizeof(threads->workers[0]));
	for (unsigned i = 0; i < count; i++) {
		struct worker *worker = &threads->workers[i];
		worker->threads = threads;
		worker->done = mbox_new(JOBS_MAX, sizeof(struct job *), wake_loop, threads);
		CHECK_MSG(io_thread_start(name, worker_main, worker, &worker->thread) == 0, "no thread at start");
	}
	loop_source_add(loop, &threads->source);
	return threads;
}

void threads_free(struct threads *threads)
{
	if (threads == NULL)
		return;
	pthread_mutex_lock(&threads->mutex);
	threads->stopping = true;
	pthread_cond_broadcast(&threads->cond);
	pthread_mutex_unlock(&threads->mutex);
	for (unsigned i = 0; i < threads->worker_count; i++)
		io_thread_join(threads->workers[i].thread);
	for (unsigned i = 0; i < threads->worker_count; i++)
		mbox_free(threads->workers[i].done);
	loop_source_remove(&threads->source);
	(void)close(threads->source.fd); /* an eventfd has nothing to lose */
	pthread_cond_destroy(&threads->cond);
	pthread_mutex_destroy(&threads->mutex);
	mem_free(threads->workers);
	mem_free(threads);
}

bool threads_have(struct threads *threads, uint32_t id)
{
	bool found = false;
	pthread_mutex_lock(&threads->mutex);
	for (unsigned i = 0; i < threads->worker_count; i++)
		found |= threads->workers[i].id == id;
	pthread_mutex_unlock(&threads->mutex);
	return found;
}

void threads_call(struct threads *threads, void (*fn)(void *arg), void *arg)
{
	while (threads->job_count >= JOBS_MAX)
		(void)waitq_wait(&threads->waitq, threads->loop, UINT64_MAX); /* no deadline: cannot time out */
	struct job job = {.fn = fn, .arg = arg, .task = task_current(threads->loop)};
	CHECK_MSG(job.task != NULL, "only a task may wait for a thread");
	threads->job_count++;
	pthread_mutex_lock(&threads->mutex);
	list_push_back(&threads->queue, &job.link);
	pthread_cond_signal(&threads->cond);
	pthread_mutex_unlock(&threads->mutex);
	while (!job.done)
		task_park(threads->loop);
}
