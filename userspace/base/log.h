/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_BASE_LOG_H
#define TIP_BASE_LOG_H

/*
 * The daemon's own log: one line a record on stderr,
 * "2026-11-22T04:34:24.123Z keeper info sensor: text". It is not the alert
 * stream: alerts leave through the alert room.
 */
enum tip_log_level { TIP_LOG_ERROR, TIP_LOG_WARN, TIP_LOG_INFO, TIP_LOG_DEBUG };

/* Names this process in every line ("keeper", "front") and sets the most verbose level shown. */
void tip_log_init(const char *process, enum tip_log_level level);

/* Parses "error|warn|info|debug". Returns 0, or -1 if `name` is none of them. */
int tip_log_level_parse(const char *name, enum tip_log_level *level);

/*
 * Logs one line. `room` is the room's name ("sensor"). Control characters in the
 * formatted text are escaped, so that nobody can forge a line.
 */
void tip_log(enum tip_log_level level, const char *room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define tip_err(room, ...)   tip_log(TIP_LOG_ERROR, room, __VA_ARGS__)
#define tip_warn(room, ...)  tip_log(TIP_LOG_WARN, room, __VA_ARGS__)
#define tip_info(room, ...)  tip_log(TIP_LOG_INFO, room, __VA_ARGS__)
#define tip_debug(room, ...) tip_log(TIP_LOG_DEBUG, room, __VA_ARGS__)

#endif
