/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_ALERT_ALERT_H
#define TIP_ALERT_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/format.h"
#include "alert/sink.h"
#include "base/error.h"
#include "detect/detect.h"

/*
 * Formats alerts as Falco does and hands them to sinks. Formatting happens on
 * the caller's thread; writing on a thread of its own behind a bounded queue, so that a slow sink
 * never stops the sensor. What does not fit is counted per sink.
 */
struct tip_alerts;

struct tip_alert_field {
	const char *name;
	const char *value; /* NULL: null */
};

struct tip_alerts_config {
	bool stdout_enabled;
	const char *file;           /* NULL or "": none; appended, created 0600, reopened by
				       tip_alerts_reopen() */
	const char *syslog;         /* the socket of the syslog daemon; NULL or "": none */
	int facility;               /* LOG_DAEMON ... */
	const char *const *program; /* argv, executed as it stands; NULL: none */
	bool program_keep_alive;    /* one program for all alerts */
	const char *http_host;      /* the server's name or address; NULL: none */
	uint16_t http_port;
	uint32_t http_max_timeouts; /* see tip_out_http() */
	const char *resolver;       /* see tip_dialler_new() */

	bool json; /* what sinks get; false: Falco's text form */
	struct tip_alert_form form;
	const struct tip_alert_field *fields; /* more members of each output_fields */
	size_t nfields;

	size_t queue;         /* alerts that may wait per sink, default 4096 */
	size_t recent;        /* alerts kept for the control socket, default 256 */
	uint64_t timeout_ns;  /* after which a sink that takes nothing is complained of, default 2 s
			       */
	bool buffered;        /* sinks write many alerts at once, or each second */
	const char *hostname; /* NULL or "": the kernel's */

	const char *const *spooled; /* names of sinks with a spool */
	size_t nspooled;
	const char *spool;  /* the folder that has one for each of them */
	uint64_t spool_max; /* bytes of one */
};

/* NULL with `err` when the file or a spool cannot be opened. */
struct tip_alerts *tip_alerts_new(const struct tip_alerts_config *config, struct tip_error *err);
/* How many alerts wait in the fullest queue: a caller that has a backlog can wait for it. */
size_t tip_alerts_waiting(struct tip_alerts *a);
/* Waits up to two seconds for the queues to drain; what a stuck reader has not taken by then is
 * lost. */
void tip_alerts_free(struct tip_alerts *a);
/* Opens the file anew (after a rotation); the lines that wait go to the new one. -1: the old one
 * stays in use. */
int tip_alerts_reopen(struct tip_alerts *a, struct tip_error *err);

/* The front's end of the http sink is another one now; takes `fd`. Only with http_host. */
void tip_alerts_set_http(struct tip_alerts *a, int fd);

/*
 * A rule matched. `action_done`: NULL, or what enforcement did ("killed", "denied"): output field
 * tipstaff.action, and evt.res where the act was refused. `untold`: so many alerts of that rule
 * before this one were held back; output field tipstaff.untold, unless 0.
 */
void tip_alert_rule(struct tip_alerts *a, const struct tip_rule *rule, struct tip_matcher *m,
		    const struct tip_match_input *in, const char *action_done, uint64_t untold);

/*
 * One of our own alerts (source "tipstaff"; the list is docs/alerts.md). `fields` are name/value
 * string pairs; a NULL value becomes null. Keys are sorted on output.
 */
void tip_alert_own(struct tip_alerts *a, const char *rule, enum tip_priority priority,
		   const struct tip_alert_field *fields, size_t nfields, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/*
 * One of Falco's internal alerts: source "internal", no tags. `fields` are finished JSON, by keys
 * with their quotes; the list is sorted here.
 */
void tip_alert_internal(struct tip_alerts *a, const char *rule, enum tip_priority priority,
			struct tip_alert_member *fields, size_t nfields, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));

/*
 * Subscribers (the control socket): called on the caller's thread with one JSON line without
 * newline for each alert. `recent`: the last N are replayed first. Returns an id for unsubscribing.
 */
int tip_alerts_subscribe(struct tip_alerts *a, size_t recent,
			 void (*fn)(void *ctx, const char *json, size_t len), void *ctx);
void tip_alerts_unsubscribe(struct tip_alerts *a, int id);

#define TIP_SINKS_MAX 5 /* stdout, file, syslog, program, http */

struct tip_alerts_stats {
	uint64_t total; /* since the start */
	uint64_t rules; /* of it, raised by rules */
	uint64_t by_priority[TIP_PRIO_DEBUG + 1];
	struct {
		const char *name; /* "stdout", "file", ... */
		struct tip_sink_stats stats;
	} sinks[TIP_SINKS_MAX];
	size_t nsinks;
};
void tip_alerts_stats(struct tip_alerts *a, struct tip_alerts_stats *out);
/* How many alerts each rule raised, in no order; rules beyond TIP_RULES_COUNTED are not told
 * apart. */
#define TIP_RULES_COUNTED 4096
void tip_alerts_each_rule(struct tip_alerts *a,
			  void (*fn)(void *ctx, const char *rule, uint64_t alerts), void *ctx);

#endif
