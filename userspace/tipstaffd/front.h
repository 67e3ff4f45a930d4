/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TIP_TIPSTAFFD_FRONT_H
#define TIP_TIPSTAFFD_FRONT_H

#include <sys/types.h>

/*
 * The front: started by the keeper with the link as descriptor 3. Gives up everything before it
 * reads the first message; exits when the link closes. Exit status of the process.
 */
int tip_front_run(uid_t uid, gid_t gid, const char *mount_point);

#endif
