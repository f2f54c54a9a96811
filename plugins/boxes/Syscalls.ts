/**
 * Which system calls a box may make, and their numbers on the processors that Node runs on. What
 * is not named here is refused: the list says what Node needs, not what is known to be dangerous.
 */

/** Processors for which there are numbers, as `process.arch` names them. */
export type Processor = "x64" | "arm64"

type Numbers = Readonly<Record<Processor, number | undefined>>

const at = (x64: number | undefined, arm64: number | undefined): Numbers => ({ x64, arm64 })

/** What Node calls for as long as it runs: memory, time, waiting, its pipes, its own threads. */
const running = {
  read: at(0, 63),
  write: at(1, 64),
  close: at(3, 57),
  fstat: at(5, 80),
  poll: at(7, undefined),
  mmap: at(9, 222),
  mprotect: at(10, 226),
  munmap: at(11, 215),
  brk: at(12, 214),
  rt_sigaction: at(13, 134),
  rt_sigprocmask: at(14, 135),
  rt_sigreturn: at(15, 139),
  readv: at(19, 65),
  writev: at(20, 66),
  sched_yield: at(24, 124),
  mremap: at(25, 216),
  mincore: at(27, 232),
  madvise: at(28, 233),
  nanosleep: at(35, 101),
  getpid: at(39, 172),
  sendmsg: at(46, 211),
  recvmsg: at(47, 212),
  shutdown: at(48, 210),
  getsockopt: at(55, 209),
  exit: at(60, 93),
  gettimeofday: at(96, 169),
  getrusage: at(98, 165),
  times: at(100, 153),
  sigaltstack: at(131, 132),
  sched_getparam: at(143, 121),
  sched_getscheduler: at(145, 120),
  gettid: at(186, 178),
  futex: at(202, 98),
  sched_getaffinity: at(204, 123),
  restart_syscall: at(219, 128),
  clock_gettime: at(228, 113),
  clock_getres: at(229, 114),
  clock_nanosleep: at(230, 115),
  exit_group: at(231, 94),
  epoll_wait: at(232, undefined),
  epoll_ctl: at(233, 21),
  set_robust_list: at(273, 99),
  epoll_pwait: at(281, 22),
  eventfd2: at(290, 19),
  getcpu: at(309, 168),
  getrandom: at(318, 278),
  membarrier: at(324, 283),
  pkey_mprotect: at(329, 288),
  pkey_alloc: at(330, 289),
  pkey_free: at(331, 290),
  rseq: at(334, 293),
  epoll_pwait2: at(441, 441),
} as const

/** What it takes besides to load Node and to put the inner walls up. */
const starting = {
  open: at(2, undefined),
  stat: at(4, undefined),
  lstat: at(6, undefined),
  lseek: at(8, 62),
  pread64: at(17, 67),
  access: at(21, undefined),
  dup: at(32, 23),
  dup2: at(33, undefined),
  getsockname: at(51, 204),
  getpeername: at(52, 205),
  execve: at(59, 221),
  uname: at(63, 160),
  fcntl: at(72, 25),
  getcwd: at(79, 17),
  readlink: at(89, undefined),
  getrlimit: at(97, 163),
  sysinfo: at(99, 179),
  getuid: at(102, 174),
  getgid: at(104, 176),
  geteuid: at(107, 175),
  getegid: at(108, 177),
  getppid: at(110, 173),
  arch_prctl: at(158, undefined),
  set_tid_address: at(218, 96),
  getdents64: at(217, 61),
  openat: at(257, 56),
  newfstatat: at(262, 79),
  readlinkat: at(267, 78),
  faccessat: at(269, 48),
  dup3: at(292, 24),
  epoll_create1: at(291, 20),
  pipe2: at(293, 59),
  prlimit64: at(302, 261),
  seccomp: at(317, 277),
  statx: at(332, 291),
  faccessat2: at(439, 439),
  landlock_create_ruleset: at(444, 444),
  landlock_restrict_self: at(446, 446),
} as const

/** Calls that are allowed or refused by their arguments, or refused in a way of their own. */
export const special = {
  ioctl: at(16, 29),
  clone: at(56, 220),
  prctl: at(157, 167),
  tgkill: at(234, 131),
  clone3: at(435, 435),
} as const

const numbersOf = (calls: Readonly<Record<string, Numbers>>, processor: Processor) =>
  Object.values(calls).flatMap((numbers) => numbers[processor] ?? [])

/** The calls allowed whatever their arguments, `sealed` or while Node is being loaded. */
export const allowed = (processor: Processor, sealed: boolean): ReadonlyArray<number> =>
  sealed
    ? numbersOf(running, processor)
    : [...numbersOf(running, processor), ...numbersOf(starting, processor)]

/** Whether there are numbers for `arch`. */
export const isProcessor = (arch: string): arch is Processor => arch === "x64" || arch === "arm64"
