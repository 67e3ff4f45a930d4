/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sensor/internal.h"

/* Activity records between two looks at the lifecycle ring, and batches between two returns to the
 * caller. */
#define BATCH   256
#define BATCHES 16

/*
 * While records flow, the rings are looked at this often instead of at each record: the kernel
 * wakes a reader only that has caught up, and on a virtual machine one wakeup costs whoever made
 * the record more than the record does. The first record after a pause wakes at once.
 */
#define PACE_NS 1000000

/*
 * A program that was held up between its look at `paced` and its record's end wakes nobody, though
 * the pause has begun. So in a pause there are some more looks, each this much later than the one
 * before: such a record waits a few times as long as its program did, and not for the next one.
 */
#define CALM_FACTOR 8
#define CALM_MAX_NS (512 * (uint64_t)PACE_NS)

/* ---- records ---- */

/*
 * What the prefilter of a daemon before this one decided was about that one's rules. Generations
 * only grow, but for the one time in four thousand million that they begin again.
 */
static bool unmatched(const struct tip_sensor *s, const struct tip_hdr *hdr)
{
	return s->first_filter && hdr->unmatched &&
	       (int32_t)(hdr->unmatched - s->first_filter) >= 0;
}

static void deliver(struct tip_sensor *s, const void *record, size_t size)
{
	struct tip_event ev;

	if (tip_event_decode(record, size, &ev)) {
		s->malformed++;
		return;
	}
	ev.unmatched = unmatched(s, ev.hdr);
	s->unmatched += ev.unmatched;
	s->ops.event(s->ops.ctx, &ev);
}

static int on_lifecycle(void *ctx, void *record, size_t size)
{
	struct tip_sensor *s = ctx;

	s->taken[0]++;
	deliver(s, record, size);
	return 0;
}

static int on_activity(void *ctx, void *record, size_t size)
{
	struct tip_sensor *s = ctx;

	s->taken[1]++;
	deliver(s, record, size);
	/* A negative answer ends this round; the record counts as taken. */
	return --s->batch > 0 ? 0 : -EAGAIN;
}

/* Whether records wake the epoll. What is in a ring already counts. */
static void rings_wake(struct tip_sensor *s, bool on)
{
	const uint32_t zero = 0, by_clock = !on;

	if (tip_map_update(s, TIP_MAP_PACED, &zero, &by_clock, BPF_ANY))
		tip_warn("sensor", "cannot say whether records wake: %s", strerror(errno));
	for (int i = 0; i < 2; i++) {
		struct epoll_event ev = {.events = on ? EPOLLIN : 0};

		epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->maps[TIP_MAP_LIFECYCLE + i], &ev);
	}
}

static void look_in(struct tip_sensor *s, uint64_t ns)
{
	const struct itimerspec in = {.it_value.tv_nsec = (long)ns};

	timerfd_settime(s->timer, 0, &in, NULL);
}

/*
 * Between two looks only the timer wakes; a look that finds nothing ends that, and the rings wake
 * again. `again`: records are left, come back at once.
 */
static void pace(struct tip_sensor *s, bool flowing, bool again)
{
	uint64_t ticks;

	if (flowing) {
		look_in(s, again ? 1 : PACE_NS);
	} else if (s->paced) {
		s->calm = PACE_NS;
		look_in(s, s->calm);
	} else if (s->calm && read(s->timer, &ticks, sizeof(ticks)) == sizeof(ticks)) {
		s->calm = s->calm < CALM_MAX_NS ? s->calm * CALM_FACTOR : 0;
		look_in(s, s->calm);
	}
	if (flowing != s->paced)
		rings_wake(s, !flowing);
	s->paced = flowing;
}

static int rings_open(struct tip_sensor *s, struct tip_error *err)
{
	static const ring_buffer_sample_fn handlers[] = {on_lifecycle, on_activity};
	struct epoll_event timer = {.events = EPOLLIN};

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (s->epoll < 0 || s->timer < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->timer, &timer))
		return tip_error_set(err, "cannot make an epoll and a timer for the rings: %s",
				     strerror(errno));
	for (int i = 0; i < 2; i++) {
		const int fd = s->maps[TIP_MAP_LIFECYCLE + i];
		struct epoll_event ev = {.events = EPOLLIN};

		s->rings[i] = ring_buffer__new(fd, handlers[i], s, NULL);
		if (!s->rings[i])
			return tip_error_set(err, "cannot map the ring %s: %s",
					     tip_map_names[TIP_MAP_LIFECYCLE + i], strerror(errno));
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev))
			return tip_error_set(err, "cannot wait for the ring %s: %s",
					     tip_map_names[TIP_MAP_LIFECYCLE + i], strerror(errno));
	}
	/* The last daemon may have been killed while it was paced. */
	rings_wake(s, true);
	return 0;
}

int tip_sensor_fd(const struct tip_sensor *s)
{
	return s->epoll;
}

int tip_sensor_poll_lifecycle(struct tip_sensor *s)
{
	const int n = ring_buffer__consume(s->rings[0]);

	return n > 0 ? n : 0;
}

int tip_sensor_poll(struct tip_sensor *s)
{
	int handled = 0;
	bool again = true;

	/* Bounded, so that a storm of activity cannot keep the caller from its other work. */
	for (int i = 0; i < BATCHES; i++) {
		handled += tip_sensor_poll_lifecycle(s);
		s->batch = BATCH;
		ring_buffer__consume(s->rings[1]);
		handled += BATCH - s->batch;
		if (s->batch > 0) {
			again = false;
			break;
		}
	}
	pace(s, handled > 0, again);
	return handled;
}

/* A record that is not finished holds up those behind it; not longer than that. */
#define SETTLE_NS 1000000000ull

/* How far a ring was written, or read. -1: it cannot be mapped. */
static int ring_position(int fd, bool written, uint64_t *at)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* The kernel's layout: a page for the reader, then one for the writer. */
	const void *map = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, written ? (off_t)page : 0);

	if (map == MAP_FAILED)
		return -1;
	*at = __atomic_load_n((const uint64_t *)map, __ATOMIC_ACQUIRE);
	munmap((void *)map, page);
	return 0;
}

static bool ring_before(int fd, uint64_t mark)
{
	uint64_t at;

	return ring_position(fd, false, &at) == 0 && at < mark;
}

void tip_sensor_settle(struct tip_sensor *s)
{
	const uint64_t until = tip_clock_monotonic() + SETTLE_NS;
	uint64_t marks[2] = {0};

	for (int i = 0; i < 2; i++)
		if (ring_position(s->maps[TIP_MAP_LIFECYCLE + i], true, &marks[i]))
			tip_warn("sensor", "cannot read a ring's position: %s", strerror(errno));
	while (ring_before(s->maps[TIP_MAP_LIFECYCLE], marks[0]) ||
	       ring_before(s->maps[TIP_MAP_ACTIVITY], marks[1])) {
		if (tip_sensor_poll(s))
			continue;
		if (tip_clock_monotonic() > until) {
			tip_warn("sensor", "a record is not finished: some events may be held "
					   "against newer rules than those they were told for");
			break;
		}
		sched_yield();
	}
}

/* ---- snapshot ---- */

/* More than the longest record that the iterator writes. */
#define SNAPSHOT_BUFFER 65536

/* Hands out the whole records at the front of `buf`; returns the bytes that are left of a cut one.
 */
static size_t snapshot_records(struct tip_sensor *s, unsigned char *buf, size_t len, void *aligned)
{
	size_t at = 0;

	while (len - at >= sizeof(struct tip_hdr)) {
		struct tip_hdr hdr;

		memcpy(&hdr, buf + at, sizeof(hdr));
		if (hdr.len < sizeof(hdr) || hdr.len > SNAPSHOT_BUFFER / 2) {
			s->malformed++; /* and where the next one begins is unknown */
			return 0;
		}
		if (hdr.len > len - at)
			break;
		memcpy(aligned, buf + at, hdr.len);
		deliver(s, aligned, hdr.len);
		at += hdr.len;
	}
	memmove(buf, buf + at, len - at);
	return len - at;
}

int tip_sensor_snapshot(struct tip_sensor *s, struct tip_error *err)
{
	unsigned char *buf = tip_alloc(SNAPSHOT_BUFFER);
	void *aligned = tip_alloc(SNAPSHOT_BUFFER);
	int link = -1, iter = -1, ret = -1;
	size_t len = 0;
	ssize_t n;

	/* What the ring still holds is older than what the iterator will say. */
	tip_sensor_poll_lifecycle(s);
	link = bpf_link_create(s->progs[TIP_PROG_TASKS], 0, BPF_TRACE_ITER, NULL);
	if (link < 0) {
		tip_error_set(err, "cannot make a task iterator: %s", strerror(errno));
		goto out;
	}
	iter = bpf_iter_create(link);
	if (iter < 0) {
		tip_error_set(err, "cannot open the task iterator: %s", strerror(errno));
		goto out;
	}
	for (;;) {
		n = read(iter, buf + len, SNAPSHOT_BUFFER - len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0) {
			tip_error_set(err, "cannot read the task iterator: %s", strerror(errno));
			goto out;
		}
		if (n == 0)
			break;
		len = snapshot_records(s, buf, len + (size_t)n, aligned);
	}
	ret = 0;
out:
	if (iter >= 0)
		close(iter);
	if (link >= 0)
		close(link);
	free(aligned);
	free(buf);
	return ret;
}

/* ---- open and close ---- */

static uint32_t entries_of(const struct tip_sensor *s, enum tip_sensor_map map)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(s->maps[map], &info, &len) ? 0 : info.max_entries;
}

static void shares_prepare(struct tip_sensor *s, const struct tip_sensor_config *config)
{
	const uint32_t redirects = entries_of(s, TIP_MAP_REDIRECTS);

	s->settings.redirects_per_netns =
		config->redirects_per_netns ? config->redirects_per_netns : redirects / 8;
	s->settings.redirects_per_identity =
		config->redirects_per_identity ? config->redirects_per_identity : redirects / 2;
	s->settings.listeners_per_netns = config->listeners_per_netns
						  ? config->listeners_per_netns
						  : entries_of(s, TIP_MAP_LISTENERS) / 8;
}

/*
 * Settings as this start wants them. The event mask and the Workload API socket of the last daemon
 * stay until the new one sets its own: nothing is lost in between.
 */
static int settings_prepare(struct tip_sensor *s, const struct tip_sensor_config *config,
			    struct tip_error *err)
{
	if (tip_scope_resolve(config, &s->settings, err))
		return -1;
	s->settings.enforce = config->enforce;
	if (!config->traffic)
		s->settings.traffic_generation = s->settings.worker_port = 0;
	shares_prepare(s, config);
	/* Until the commit, those that act go on to. */
	if (!s->standby)
		s->settings.build = s->generation;
	s->settings.keeper_tgid = tip_own_tgid();
	if (s->settings.keeper_tgid)
		return 0;
	tip_warn("sensor", "cannot ask the kernel who this process is (%s): taking getpid()",
		 strerror(errno));
	s->settings.keeper_tgid = (uint32_t)getpid();
	return 0;
}

/* All that can fail comes first; the store of the settings is what puts our generation in charge.
 */
static int go_live(struct tip_sensor *s, const struct tip_sensor_config *config,
		   struct tip_error *err)
{
	int others = -1, ret = -1;

	if (settings_prepare(s, config, err) || tip_hooks_attach(s, config, err) ||
	    rings_open(s, err))
		return -1;
	if (s->pinned) {
		others = tip_instances_lock(err);
		if (others < 0 || tip_instances_check(config, err))
			goto out;
	}
	if (tip_settings_write(s))
		tip_error_set(err, "cannot write the settings: %s", strerror(errno));
	else
		ret = 0;
out:
	if (others >= 0)
		close(others);
	return ret;
}

/* Loads and attaches a new generation beside what may be there, and switches to it. */
static int start_generation(struct tip_sensor *s, const struct tip_sensor_config *config,
			    struct tip_error *err)
{
	if (tip_load(s, config, err))
		return -1;
	if (s->pinned && tip_pin_save_state(s, err))
		return -1;
	if (tip_attach(s, s->settings.event_mask, err))
		return -1;
	if (s->pinned && tip_pin_save_generation(s, err))
		return -1;
	return go_live(s, config, err);
}

static int adopt_or_start(struct tip_sensor *s, const struct tip_sensor_config *config,
			  struct tip_error *err)
{
	const uint64_t build = tip_build_id(s->groups);
	const uint32_t zero = 0;
	uint64_t active;

	tip_upgrade_find(s, config->instance);
	/* What lies under our number was never at work, or no longer. */
	if (s->former.version && tip_pin_anew(s, err))
		return -1;
	if (tip_pin_state(s, err))
		return -1;
	if (s->maps[TIP_MAP_SETTINGS] >= 0 &&
	    bpf_map_lookup_elem(s->maps[TIP_MAP_SETTINGS], &zero, &s->settings))
		return tip_error_set(err, "cannot read the pinned settings: %s", strerror(errno));
	active = s->settings.build;

	/* The lowest bit tells two generations of one build apart: the second replaces a damaged
	 * first. */
	if ((active & ~1ull) == build) {
		s->generation = active;
		if (tip_pin_adopt(s, config)) {
			s->adopted = true;
			return go_live(s, config, err);
		}
		tip_warn("sensor",
			 "the pins in %s are not whole or their rings have another size: "
			 "replacing the programs",
			 s->dir);
	}
	s->generation = active == build ? build | 1 : build;
	s->standby = active || s->former.version;
	if (active || s->former.version)
		tip_pin_reuse_rings(s, active, config);
	return start_generation(s, config, err);
}

static int open_pinned(struct tip_sensor *s, const struct tip_sensor_config *config,
		       struct tip_error *err)
{
	if (tip_pin_open(s, config->instance, err))
		return -1;
	/* Asked for again in go_live(): loading takes its time. */
	if (tip_instances_check(config, err) == 0 && adopt_or_start(s, config, err) == 0)
		return 0;
	if (!s->adopted)
		tip_pin_abandon(s);
	s->standby = false;
	return -1;
}

struct tip_sensor *tip_sensor_open(const struct tip_sensor_config *config,
				   const struct tip_sensor_ops *ops, struct tip_error *err)
{
	struct tip_sensor *s = tip_alloc(sizeof(*s));
	int failed;

	s->ops = *ops;
	s->pinned = config->pin;
	s->groups =
		TIP_GROUP_BASE |
		(config->sensing == TIP_SENSING_KERNEL ? TIP_GROUP_KERNEL : TIP_GROUP_SYSCALLS) |
		(config->lsm ? TIP_GROUP_LSM : 0) | (config->digests ? TIP_GROUP_DIGEST : 0);
	s->lock = s->epoll = s->timer = -1;
	memset(s->maps, 0xff, sizeof(s->maps));
	memset(s->progs, 0xff, sizeof(s->progs));
	memset(s->links, 0xff, sizeof(s->links));
	memset(s->veth_progs, 0xff, sizeof(s->veth_progs));
	snprintf(s->instance, sizeof(s->instance), "%s", config->instance);
	if (config->pin) {
		failed = open_pinned(s, config, err);
	} else {
		s->generation = tip_build_id(s->groups);
		failed = start_generation(s, config, err);
	}
	if (failed) {
		tip_sensor_close(s);
		return NULL;
	}
	tip_stats_begin(s);
	s->prune_hooks = config->pin && (*config->cgroup2 || !config->enforce);
	s->no_lookups = !config->traffic;
	s->no_veths = !config->traffic || !config->veth_stop;
	return s;
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void tip_sensor_close(struct tip_sensor *s)
{
	if (!s)
		return;
	/* A start that did not come to the commit leaves what was at work, and nothing beside it.
	 */
	if (s->standby)
		tip_pin_abandon(s);
	if (s->rings[1])
		tip_sensor_note_taken(s);
	for (int i = 0; i < 2; i++)
		ring_buffer__free(s->rings[i]);
	for (size_t i = 0; i < s->nhooked; i++)
		close_all(s->hooked[i].links, TIP_CGROUP_HOOKS);
	free(s->hooked);
	tip_lookup_close(s);
	if (!s->pinned && s->maps[TIP_MAP_VETHS] >= 0)
		tip_veth_remove(s->instance, s->maps[TIP_MAP_VETHS]);
	tip_veth_close(s);
	close_all(s->links, TIP_PROG_TRACING_END);
	close_all(s->progs, TIP_PROG_END);
	close_all(s->maps, TIP_MAP_END);
	if (s->epoll >= 0)
		close(s->epoll);
	if (s->timer >= 0)
		close(s->timer);
	if (s->lock >= 0)
		close(s->lock);
	free(s);
}

bool tip_sensor_adopted(const struct tip_sensor *s)
{
	return s->adopted;
}

enum tip_sensing tip_sensor_sensing(const struct tip_sensor *s)
{
	return s->groups & TIP_GROUP_KERNEL ? TIP_SENSING_KERNEL : TIP_SENSING_SYSCALLS;
}
