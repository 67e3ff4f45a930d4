/* SPDX-License-Identifier: Apache-2.0 */
/*
 * use_fd: asks on descriptor 3, a Workload API connection that somebody else made and used before:
 * the program that a workload was replaced by (exec), still holding its socket.
 */
#include "attack.h"

int main(void)
{
	struct answer a;

	ask_again(3, 3);
	a = hear(3, 3000);
	report("use_fd", &a);
	return 0;
}
