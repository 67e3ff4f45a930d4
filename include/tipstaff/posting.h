/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIPSTAFF_POSTING_H
#define TIPSTAFF_POSTING_H

#include <linux/types.h>

/*
 * What the keeper's http sink and the front say to each other, over a SOCK_SEQPACKET pair of their
 * own: the keeper opens connections and hands over alerts, one at a time; the front speaks TLS and
 * HTTP, and says what became of each. Its next line is not read before that, so what the front
 * holds is one alert.
 */

/* keeper -> front */
struct tip_posting_line {
	__u64 number; /* of this line */
	__u32 zero;
	/* Bytes of text behind this; 0: the packet brings a socket that is connecting, for the line
	   of that number. */
	__u32 len;
};
#define TIP_POSTING_MAX (128u << 10) /* bytes of one alert */

enum tip_posting_outcome {
	TIP_POSTING_TAKEN = 1,     /* the server said 2xx */
	TIP_POSTING_REFUSED = 2,   /* it will never take this one */
	TIP_POSTING_LATER = 3,     /* not now */
	TIP_POSTING_DIAL = 4,      /* no connection is open: send a socket for it */
	TIP_POSTING_TIMED_OUT = 5, /* not now: the server said nothing in time */
};

/* front -> keeper */
struct tip_posting_answer {
	__u64 number;
	__u32 outcome; /* enum tip_posting_outcome */
	__u32 wait_s;  /* LATER: the server asks to be left alone for so long; 0: it does not */
};

#endif
