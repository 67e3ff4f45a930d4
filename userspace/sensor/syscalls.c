/* SPDX-License-Identifier: Apache-2.0 */
#include <asm/unistd_64.h>
#include <string.h>

#include "base/mem.h"
#include "sensor/internal.h"

/* System calls of x86-64: their names, their 32-bit numbers, and what they take. */

/* clang-format off */
/* By number. */
static const char *const names[] = {
	"read", "write", "open", "close", "stat", "fstat", "lstat", "poll", "lseek", "mmap",
	"mprotect", "munmap", "brk", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "ioctl",
	"pread64", "pwrite64", "readv", "writev", "access", "pipe", "select", "sched_yield",
	"mremap", "msync", "mincore", "madvise", "shmget", "shmat", "shmctl", "dup", "dup2",
	"pause", "nanosleep", "getitimer", "alarm", "setitimer", "getpid", "sendfile", "socket",
	"connect", "accept", "sendto", "recvfrom", "sendmsg", "recvmsg", "shutdown", "bind",
	"listen", "getsockname", "getpeername", "socketpair", "setsockopt", "getsockopt", "clone",
	"fork", "vfork", "execve", "exit", "wait4", "kill", "uname", "semget", "semop", "semctl",
	"shmdt", "msgget", "msgsnd", "msgrcv", "msgctl", "fcntl", "flock", "fsync", "fdatasync",
	"truncate", "ftruncate", "getdents", "getcwd", "chdir", "fchdir", "rename", "mkdir",
	"rmdir", "creat", "link", "unlink", "symlink", "readlink", "chmod", "fchmod", "chown",
	"fchown", "lchown", "umask", "gettimeofday", "getrlimit", "getrusage", "sysinfo", "times",
	"ptrace", "getuid", "syslog", "getgid", "setuid", "setgid", "geteuid", "getegid",
	"setpgid", "getppid", "getpgrp", "setsid", "setreuid", "setregid", "getgroups",
	"setgroups", "setresuid", "getresuid", "setresgid", "getresgid", "getpgid", "setfsuid",
	"setfsgid", "getsid", "capget", "capset", "rt_sigpending", "rt_sigtimedwait",
	"rt_sigqueueinfo", "rt_sigsuspend", "sigaltstack", "utime", "mknod", "uselib",
	"personality", "ustat", "statfs", "fstatfs", "sysfs", "getpriority", "setpriority",
	"sched_setparam", "sched_getparam", "sched_setscheduler", "sched_getscheduler",
	"sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "mlock",
	"munlock", "mlockall", "munlockall", "vhangup", "modify_ldt", "pivot_root", "_sysctl",
	"prctl", "arch_prctl", "adjtimex", "setrlimit", "chroot", "sync", "acct", "settimeofday",
	"mount", "umount2", "swapon", "swapoff", "reboot", "sethostname", "setdomainname", "iopl",
	"ioperm", "create_module", "init_module", "delete_module", "get_kernel_syms",
	"query_module", "quotactl", "nfsservctl", "getpmsg", "putpmsg", "afs_syscall", "tuxcall",
	"security", "gettid", "readahead", "setxattr", "lsetxattr", "fsetxattr", "getxattr",
	"lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr", "removexattr",
	"lremovexattr", "fremovexattr", "tkill", "time", "futex", "sched_setaffinity",
	"sched_getaffinity", "set_thread_area", "io_setup", "io_destroy", "io_getevents",
	"io_submit", "io_cancel", "get_thread_area", "lookup_dcookie", "epoll_create",
	"epoll_ctl_old", "epoll_wait_old", "remap_file_pages", "getdents64", "set_tid_address",
	"restart_syscall", "semtimedop", "fadvise64", "timer_create", "timer_settime",
	"timer_gettime", "timer_getoverrun", "timer_delete", "clock_settime", "clock_gettime",
	"clock_getres", "clock_nanosleep", "exit_group", "epoll_wait", "epoll_ctl", "tgkill",
	"utimes", "vserver", "mbind", "set_mempolicy", "get_mempolicy", "mq_open", "mq_unlink",
	"mq_timedsend", "mq_timedreceive", "mq_notify", "mq_getsetattr", "kexec_load", "waitid",
	"add_key", "request_key", "keyctl", "ioprio_set", "ioprio_get", "inotify_init",
	"inotify_add_watch", "inotify_rm_watch", "migrate_pages", "openat", "mkdirat", "mknodat",
	"fchownat", "futimesat", "newfstatat", "unlinkat", "renameat", "linkat", "symlinkat",
	"readlinkat", "fchmodat", "faccessat", "pselect6", "ppoll", "unshare", "set_robust_list",
	"get_robust_list", "splice", "tee", "sync_file_range", "vmsplice", "move_pages",
	"utimensat", "epoll_pwait", "signalfd", "timerfd_create", "eventfd", "fallocate",
	"timerfd_settime", "timerfd_gettime", "accept4", "signalfd4", "eventfd2", "epoll_create1",
	"dup3", "pipe2", "inotify_init1", "preadv", "pwritev", "rt_tgsigqueueinfo",
	"perf_event_open", "recvmmsg", "fanotify_init", "fanotify_mark", "prlimit64",
	"name_to_handle_at", "open_by_handle_at", "clock_adjtime", "syncfs", "sendmmsg", "setns",
	"getcpu", "process_vm_readv", "process_vm_writev", "kcmp", "finit_module", "sched_setattr",
	"sched_getattr", "renameat2", "seccomp", "getrandom", "memfd_create", "kexec_file_load",
	"bpf", "execveat", "userfaultfd", "membarrier", "mlock2", "copy_file_range", "preadv2",
	"pwritev2", "pkey_mprotect", "pkey_alloc", "pkey_free", "statx", "io_pgetevents", "rseq",
	[424] = "pidfd_send_signal", "io_uring_setup", "io_uring_enter", "io_uring_register",
	"open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "pidfd_open",
	"clone3", "close_range", "openat2", "pidfd_getfd", "faccessat2", "process_madvise",
	"epoll_pwait2", "mount_setattr", "quotactl_fd", "landlock_create_ruleset",
	"landlock_add_rule", "landlock_restrict_self", "memfd_secret", "process_mrelease",
	"futex_waitv", "set_mempolicy_home_node", "cachestat", "fchmodat2", "map_shadow_stack",
	"futex_wake", "futex_wait", "futex_requeue", "statmount", "listmount", "lsm_get_self_attr",
	"lsm_set_self_attr", "lsm_list_modules", "mseal",
};

/* Numbers of 32-bit calls: in their own table, then in that of 64 bits. */
static const uint16_t ia32[][2] = {
	{0, 219}, {1, 60}, {2, 57}, {3, 0}, {4, 1}, {5, 2}, {6, 3}, {7, 61}, {8, 85}, {9, 86},
	{10, 87}, {11, 59}, {12, 80}, {13, 201}, {14, 133}, {15, 90}, {16, 94}, {18, 4}, {19, 8},
	{20, 39}, {21, 165}, {22, 166}, {23, 105}, {24, 102}, {26, 101}, {27, 37}, {28, 5},
	{29, 34}, {30, 132}, {33, 21}, {36, 162}, {37, 62}, {38, 82}, {39, 83}, {40, 84}, {41, 32},
	{42, 22}, {43, 100}, {45, 12}, {46, 106}, {47, 104}, {49, 107}, {50, 108}, {51, 163},
	{52, 166}, {54, 16}, {55, 72}, {57, 109}, {59, 63}, {60, 95}, {61, 161}, {62, 136},
	{63, 33}, {64, 110}, {65, 111}, {66, 112}, {67, 13}, {70, 113}, {71, 114}, {72, 130},
	{73, 127}, {74, 170}, {75, 160}, {76, 97}, {77, 98}, {78, 96}, {79, 164}, {80, 115},
	{81, 116}, {82, 23}, {83, 88}, {84, 6}, {85, 89}, {86, 134}, {87, 167}, {88, 169}, {90, 9},
	{91, 11}, {92, 76}, {93, 77}, {94, 91}, {95, 93}, {96, 140}, {97, 141}, {99, 137},
	{100, 138}, {101, 173}, {103, 103}, {104, 38}, {105, 36}, {106, 4}, {107, 6}, {108, 5},
	{109, 63}, {110, 172}, {111, 153}, {114, 61}, {115, 168}, {116, 99}, {118, 74}, {119, 15},
	{120, 56}, {121, 171}, {122, 63}, {123, 154}, {124, 159}, {125, 10}, {126, 14}, {127, 174},
	{128, 175}, {129, 176}, {130, 177}, {131, 179}, {132, 121}, {133, 81}, {135, 139},
	{136, 135}, {137, 183}, {138, 122}, {139, 123}, {140, 8}, {141, 78}, {142, 23}, {143, 73},
	{144, 26}, {145, 19}, {146, 20}, {147, 124}, {148, 75}, {149, 156}, {150, 149}, {151, 150},
	{152, 151}, {153, 152}, {154, 142}, {155, 143}, {156, 144}, {157, 145}, {158, 24},
	{159, 146}, {160, 147}, {161, 148}, {162, 35}, {163, 25}, {164, 117}, {165, 118},
	{167, 178}, {168, 7}, {169, 180}, {170, 119}, {171, 120}, {172, 157}, {173, 15}, {174, 13},
	{175, 14}, {176, 127}, {177, 128}, {178, 129}, {179, 130}, {180, 17}, {181, 18}, {182, 92},
	{183, 79}, {184, 125}, {185, 126}, {186, 131}, {187, 40}, {188, 181}, {189, 182},
	{190, 58}, {191, 97}, {192, 9}, {193, 76}, {194, 77}, {195, 4}, {196, 6}, {197, 5},
	{198, 94}, {199, 102}, {200, 104}, {201, 107}, {202, 108}, {203, 113}, {204, 114},
	{205, 115}, {206, 116}, {207, 93}, {208, 117}, {209, 118}, {210, 119}, {211, 120},
	{212, 92}, {213, 105}, {214, 106}, {215, 122}, {216, 123}, {217, 155}, {218, 27},
	{219, 28}, {220, 217}, {221, 72}, {224, 186}, {225, 187}, {226, 188}, {227, 189},
	{228, 190}, {229, 191}, {230, 192}, {231, 193}, {232, 194}, {233, 195}, {234, 196},
	{235, 197}, {236, 198}, {237, 199}, {238, 200}, {239, 40}, {240, 202}, {241, 203},
	{242, 204}, {243, 205}, {244, 211}, {245, 206}, {246, 207}, {247, 208}, {248, 209},
	{249, 210}, {250, 221}, {252, 231}, {253, 212}, {254, 213}, {255, 233}, {256, 232},
	{257, 216}, {258, 218}, {259, 222}, {260, 223}, {261, 224}, {262, 225}, {263, 226},
	{264, 227}, {265, 228}, {266, 229}, {267, 230}, {268, 137}, {269, 138}, {270, 234},
	{271, 235}, {272, 221}, {273, 236}, {274, 237}, {275, 239}, {276, 238}, {277, 240},
	{278, 241}, {279, 242}, {280, 243}, {281, 244}, {282, 245}, {283, 246}, {284, 247},
	{286, 248}, {287, 249}, {288, 250}, {289, 251}, {290, 252}, {291, 253}, {292, 254},
	{293, 255}, {294, 256}, {295, 257}, {296, 258}, {297, 259}, {298, 260}, {299, 261},
	{300, 262}, {301, 263}, {302, 264}, {303, 265}, {304, 266}, {305, 267}, {306, 268},
	{307, 269}, {308, 270}, {309, 271}, {310, 272}, {311, 273}, {312, 274}, {313, 275},
	{314, 277}, {315, 276}, {316, 278}, {317, 279}, {318, 309}, {319, 281}, {320, 280},
	{321, 282}, {322, 283}, {323, 284}, {324, 285}, {325, 286}, {326, 287}, {327, 289},
	{328, 290}, {329, 291}, {330, 292}, {331, 293}, {332, 294}, {333, 295}, {334, 296},
	{335, 297}, {336, 298}, {337, 299}, {338, 300}, {339, 301}, {340, 302}, {341, 303},
	{342, 304}, {343, 305}, {344, 306}, {345, 307}, {346, 308}, {347, 310}, {348, 311},
	{349, 312}, {350, 313}, {351, 314}, {352, 315}, {353, 316}, {354, 317}, {355, 318},
	{356, 319}, {357, 321}, {358, 322}, {359, 41}, {360, 53}, {361, 49}, {362, 42}, {363, 50},
	{364, 288}, {365, 55}, {366, 54}, {367, 51}, {368, 52}, {369, 44}, {370, 46}, {371, 45},
	{372, 47}, {373, 48}, {374, 323}, {375, 324}, {376, 325}, {377, 326}, {378, 327},
	{379, 328}, {380, 329}, {381, 330}, {382, 331}, {383, 332}, {384, 158}, {385, 333},
	{386, 334}, {393, 64}, {394, 66}, {395, 29}, {396, 31}, {397, 30}, {398, 67}, {399, 68},
	{400, 69}, {401, 70}, {402, 71}, {403, 228}, {404, 227}, {405, 305}, {406, 229},
	{407, 230}, {408, 224}, {409, 223}, {410, 287}, {411, 286}, {412, 280}, {413, 270},
	{414, 271}, {416, 333}, {417, 299}, {418, 242}, {419, 243}, {420, 220}, {421, 128},
	{422, 202}, {423, 148}, {424, 424}, {425, 425}, {426, 426}, {427, 427}, {428, 428},
	{429, 429}, {430, 430}, {431, 431}, {432, 432}, {433, 433}, {434, 434}, {435, 435},
	{436, 436}, {437, 437}, {438, 438}, {439, 439}, {440, 440}, {441, 441}, {442, 442},
	{443, 443}, {444, 444}, {445, 445}, {446, 446}, {447, 447}, {448, 448}, {449, 449},
	{450, 450}, {451, 451}, {452, 452}, {453, 453}, {454, 454}, {455, 455}, {456, 456},
	{457, 457}, {458, 458}, {459, 459}, {460, 460}, {461, 461}, {462, 462},
};

#define IA32_SOCKETCALL 102

/* Calls behind socketcall(); send() and recv() are sendto() and recvfrom() without an address. */
static const uint16_t socketcalls[] = {
	TIP_NO_SYSCALL, 41, 49, 42, 50, 43, 51, 52, 53, 44, 45, 44, 45, 48, 54, 55, 46, 47, 288,
	299, 307,
};
/* clang-format on */

/* What is looked at for each. A call that is not here is told with its numbers alone. */
#define NR(name) [__NR_##name]
#define FILLED   (TIP_SHAPE_FIXED | TIP_SHAPE_IN)
static const struct tip_shape shapes[TIP_SYSCALLS] = {
	NR(read) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_IN},
	NR(pread64) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_IN},
	NR(readv) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_IN | TIP_SHAPE_IOV},
	NR(preadv) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_IN | TIP_SHAPE_IOV},
	NR(write) = {.fd = 1, .data = 2},
	NR(pwrite64) = {.fd = 1, .data = 2},
	NR(writev) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_IOV},
	NR(pwritev) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_IOV},
	NR(sendto) = {.fd = 1, .data = 2, .addr = 5},
	NR(recvfrom) = {.fd = 1, .data = 2, .addr = 5, .flags = TIP_SHAPE_IN},
	NR(sendmsg) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_MSG},
	NR(recvmsg) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_MSG | TIP_SHAPE_IN},
	NR(sendmmsg) = {.fd = 1, .data = 2, .flags = TIP_SHAPE_MSG},
	NR(recvmmsg) = {.fd = 1, .flags = TIP_SHAPE_IN},
	NR(socket) = {.fd = TIP_SHAPE_RESULT},
	NR(shutdown) = {.fd = 1},
	NR(getsockname) = {.fd = 1},
	NR(getpeername) = {.fd = 1},
	NR(getsockopt) = {.fd = 1},
	NR(setsockopt) = {.fd = 1, .data = 4},
	NR(dup) = {.fd = TIP_SHAPE_RESULT},
	NR(dup2) = {.fd = TIP_SHAPE_RESULT},
	NR(dup3) = {.fd = TIP_SHAPE_RESULT},
	NR(close) = {.fd = 1},
	NR(fcntl) = {.fd = 1},
	NR(ioctl) = {.fd = 1},
	NR(flock) = {.fd = 1},
	NR(lseek) = {.fd = 1},
	NR(fstat) = {.fd = 1},
	NR(fsync) = {.fd = 1},
	NR(ftruncate) = {.fd = 1},
	NR(getdents) = {.fd = 1},
	NR(getdents64) = {.fd = 1},
	NR(splice) = {.fd = 1},
	NR(setns) = {.fd = 1},
	NR(fchdir) = {.fd = 1},
	NR(fchmod) = {.fd = 1, .flags = TIP_SHAPE_MODE(2)},
	NR(fchown) = {.fd = 1},
	NR(memfd_create) = {.fd = TIP_SHAPE_RESULT, .path = {1}, .flags = TIP_SHAPE_LINK},
	NR(userfaultfd) = {.fd = TIP_SHAPE_RESULT},
	NR(pidfd_open) = {.fd = TIP_SHAPE_RESULT},
	NR(pidfd_getfd) = {.fd = TIP_SHAPE_RESULT},
	NR(eventfd) = {.fd = TIP_SHAPE_RESULT},
	NR(eventfd2) = {.fd = TIP_SHAPE_RESULT},
	NR(signalfd) = {.fd = TIP_SHAPE_RESULT, .data = 2},
	NR(signalfd4) = {.fd = TIP_SHAPE_RESULT, .data = 2},
	NR(timerfd_create) = {.fd = TIP_SHAPE_RESULT},
	NR(inotify_init) = {.fd = TIP_SHAPE_RESULT},
	NR(inotify_init1) = {.fd = TIP_SHAPE_RESULT},
	NR(epoll_create) = {.fd = TIP_SHAPE_RESULT},
	NR(epoll_create1) = {.fd = TIP_SHAPE_RESULT},
	NR(io_uring_setup) = {.fd = TIP_SHAPE_RESULT,
			      .data = 2,
			      .addr = 24,
			      .flags = TIP_SHAPE_FIXED},
	NR(io_uring_enter) = {.fd = 1},
	NR(io_uring_register) = {.fd = 1},
	NR(sendfile) = {.fd = 1},
	NR(copy_file_range) = {.fd = 3},
	NR(process_vm_readv) = {.data = 2, .flags = TIP_SHAPE_IN | TIP_SHAPE_IOV},
	NR(process_vm_writev) = {.data = 2, .flags = TIP_SHAPE_IOV},
	NR(fsconfig) = {.fd = 1, .path = {3, 4}, .flags = TIP_SHAPE_LINK},
	NR(pipe) = {.fd = TIP_SHAPE_PAIR(1), .data = 1, .addr = 8, .flags = FILLED},
	NR(pipe2) = {.fd = TIP_SHAPE_PAIR(1), .data = 1, .addr = 8, .flags = FILLED},
	NR(socketpair) = {.fd = TIP_SHAPE_PAIR(4), .data = 4, .addr = 8, .flags = FILLED},
	NR(getrlimit) = {.data = 2, .addr = 16, .flags = FILLED},
	NR(setrlimit) = {.data = 2, .addr = 16, .flags = TIP_SHAPE_FIXED},
	NR(prlimit64) = {.data = 3, .addr = 16, .flags = TIP_SHAPE_FIXED},
	NR(nanosleep) = {.data = 1, .addr = 16, .flags = TIP_SHAPE_FIXED},
	NR(capset) = {.data = 2, .addr = 24, .flags = TIP_SHAPE_FIXED},
	NR(poll) = {.data = 1, .addr = 8, .flags = TIP_SHAPE_ARRAY},
	NR(ppoll) = {.data = 1, .addr = 8, .flags = TIP_SHAPE_ARRAY},
	NR(prctl) = {.path = {2}, .flags = TIP_SHAPE_LINK},
	NR(getcwd) = {.path = {1}, .flags = TIP_SHAPE_LINK},
	NR(link) = {.path = {1, 2}},
	NR(linkat) = {.path = {2, 4}, .dir = {1, 3}},
	NR(symlink) = {.path = {1, 2}, .flags = TIP_SHAPE_LINK},
	NR(symlinkat) = {.path = {1, 3}, .dir = {0, 2}, .flags = TIP_SHAPE_LINK},
	NR(rename) = {.path = {1, 2}},
	NR(renameat) = {.path = {2, 4}, .dir = {1, 3}},
	NR(renameat2) = {.path = {2, 4}, .dir = {1, 3}},
	NR(unlink) = {.path = {1}},
	NR(unlinkat) = {.path = {2}, .dir = {1}},
	NR(rmdir) = {.path = {1}},
	NR(mkdir) = {.path = {1}},
	NR(mkdirat) = {.path = {2}, .dir = {1}},
	NR(mknod) = {.path = {1}, .flags = TIP_SHAPE_MODE(2)},
	NR(mknodat) = {.path = {2}, .dir = {1}, .flags = TIP_SHAPE_MODE(3)},
	NR(chmod) = {.path = {1}, .flags = TIP_SHAPE_MODE(2)},
	NR(fchmodat) = {.path = {2}, .dir = {1}, .flags = TIP_SHAPE_MODE(3)},
	[452] = {.path = {2}, .dir = {1}, .flags = TIP_SHAPE_MODE(3)}, /* fchmodat2, since 6.6 */
	NR(chown) = {.path = {1}},
	NR(lchown) = {.path = {1}},
	NR(fchownat) = {.path = {2}, .dir = {1}},
	NR(chdir) = {.path = {1}},
	NR(chroot) = {.path = {1}},
	NR(access) = {.path = {1}},
	NR(faccessat) = {.path = {2}, .dir = {1}},
	NR(stat) = {.path = {1}},
	NR(lstat) = {.path = {1}},
	NR(newfstatat) = {.path = {2}, .dir = {1}},
	NR(truncate) = {.path = {1}},
	NR(delete_module) = {.path = {1}, .flags = TIP_SHAPE_LINK},
};

/* Names of the language that the kernel's table has not. */
static const struct {
	const char *name;
	uint32_t nr;
} aliases[] = {
	{"pread", __NR_pread64},
	{"pwrite", __NR_pwrite64},
	{"prlimit", __NR_prlimit64},
};

int tip_syscall_number(const char *name)
{
	for (size_t i = 0; i < TIP_ARRAY_SIZE(names); i++)
		if (names[i] && strcmp(names[i], name) == 0)
			return (int)i;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(aliases); i++)
		if (strcmp(aliases[i].name, name) == 0)
			return (int)aliases[i].nr;
	return -1;
}

const char *tip_syscall_name(uint32_t nr)
{
	return nr < TIP_ARRAY_SIZE(names) ? names[nr] : NULL;
}

void tip_syscalls_mark_ia32(uint8_t handlers[TIP_SYSCALLS])
{
	bool sockets = false;

	for (size_t i = 0; i < TIP_ARRAY_SIZE(ia32); i++)
		if (handlers[ia32[i][1]] & ~TIP_HANDLER_IA32)
			handlers[ia32[i][0]] |= TIP_HANDLER_IA32;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(socketcalls); i++)
		sockets |= socketcalls[i] < TIP_SYSCALLS &&
			   (handlers[socketcalls[i]] & ~TIP_HANDLER_IA32);
	if (sockets)
		handlers[IA32_SOCKETCALL] |= TIP_HANDLER_IA32;
}

const struct tip_shape *tip_syscall_shape(uint32_t nr)
{
	return &shapes[nr % TIP_SYSCALLS];
}

void tip_syscalls_fill(uint16_t to_ia32[TIP_SYSCALLS], uint16_t to_socketcalls[TIP_SOCKETCALLS],
		       struct tip_shape to_shapes[TIP_SYSCALLS])
{
	for (size_t i = 0; i < TIP_SYSCALLS; i++)
		to_ia32[i] = TIP_NO_SYSCALL;
	for (size_t i = 0; i < TIP_ARRAY_SIZE(ia32); i++)
		to_ia32[ia32[i][0]] = ia32[i][1];
	for (size_t i = 0; i < TIP_SOCKETCALLS; i++)
		to_socketcalls[i] =
			i < TIP_ARRAY_SIZE(socketcalls) ? socketcalls[i] : TIP_NO_SYSCALL;
	memcpy(to_shapes, shapes, sizeof(shapes));
}
