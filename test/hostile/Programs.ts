/**
 * Programs that have all of Node: what is left to stop them, should permissions and realm fall, are
 * the walls around the process.
 */

/** A program: statements that use `target`, `say` (what it prints) and Node's modules by name. */
export interface Program {
  readonly name: string
  readonly body: string
}

const program = (name: string, body: string): Program => ({ name, body })

const files = [
  program("file-read", "say(fs.readFileSync(target.file, 'utf8'))"),
  program("file-read-root", "say(fs.readFileSync('/proc/self/root' + target.file, 'utf8'))"),
  program("file-read-init", "say(fs.readFileSync('/proc/1/root' + target.file, 'utf8'))"),
  program(
    "file-read-relative",
    "process.chdir('/'); say(fs.readFileSync('.' + target.file, 'utf8'))",
  ),
  program("file-read-stream", "for await (const c of fs.createReadStream(target.file)) say(c)"),
  program("file-read-promise", "say(await fs.promises.readFile(target.file, 'utf8'))"),
  program("file-write", "fs.writeFileSync(target.fresh, 'mine')"),
  program("file-append", "fs.appendFileSync(target.file, 'mine')"),
  program("file-truncate", "fs.truncateSync(target.file)"),
  program("file-unlink", "fs.unlinkSync(target.file)"),
  program("file-rename", "fs.renameSync(target.file, target.fresh)"),
  program("file-link", "fs.linkSync(target.file, target.fresh)"),
  program("file-symlink", "fs.symlinkSync(target.file, target.fresh)"),
  program("file-chmod", "fs.chmodSync(target.file, 0); fs.chownSync(target.file, 1, 1)"),
  program("file-mkdir", "fs.mkdirSync(target.fresh)"),
  program(
    "file-copy",
    "fs.copyFileSync(target.file, target.fresh); fs.cpSync(target.file, target.fresh)",
  ),
  program(
    "file-sqlite",
    "const { DatabaseSync } = require('node:sqlite'); new DatabaseSync(target.fresh).exec('CREATE TABLE t (a)')",
  ),
  program(
    "file-sqlite-attach",
    "const { DatabaseSync } = require('node:sqlite'); new DatabaseSync(':memory:').exec(`ATTACH '${target.fresh}' AS x; CREATE TABLE x.t (a)`)",
  ),
  program("file-require", "say(require(target.file))"),
  program("file-report", "process.report.writeReport(target.fresh)"),
  program("file-heap-snapshot", "require('node:v8').writeHeapSnapshot(target.fresh)"),
  program("file-dlopen", "process.dlopen({ exports: {} }, target.file)"),
]

const network = [
  program(
    "net-connect",
    "await new Promise((r, f) => net.connect(target.port, '127.0.0.1', r).on('error', f))",
  ),
  program(
    "net-connect-v6",
    "await new Promise((r, f) => net.connect(target.port, '::1', r).on('error', f))",
  ),
  program("net-fetch", "say(await (await fetch(`http://127.0.0.1:${target.port}/`)).text())"),
  program(
    "net-socket",
    "await new Promise((r, f) => net.connect(target.socket, r).on('error', f))",
  ),
  program(
    "net-abstract",
    "await new Promise((r, f) => net.connect('\\0' + target.abstract, r).on('error', f))",
  ),
  program(
    "net-udp",
    "const s = require('node:dgram').createSocket('udp4'); await new Promise((r) => s.send('x', target.udp, '127.0.0.1', r))",
  ),
  program(
    "net-websocket",
    "new WebSocket(`ws://127.0.0.1:${target.port}/`); await new Promise((r) => setTimeout(r, 100))",
  ),
]

const processes = [
  program("process-kill", "process.kill(target.pid, 'SIGKILL')"),
  program(
    "process-kill-parent",
    "process.kill(process.ppid || target.pid, 'SIGCONT'); if (process.ppid === target.parent) say('HARM')",
  ),
  program(
    "process-spawn",
    "require('node:child_process').execFileSync('/bin/sh', ['-c', `echo mine > ${target.fresh}`])",
  ),
  program(
    "process-spawn-node",
    "require('node:child_process').execFileSync(process.execPath, ['-e', 'console.log(\"HARM\")'], { stdio: 'inherit' })",
  ),
  program(
    "process-fork",
    "require('node:cluster').fork(); await new Promise((r) => setTimeout(r, 100))",
  ),
  program("process-debug", "process._debugProcess(target.parent)"),
  program(
    "process-inspector",
    "require('node:inspector').open(target.inspector, '127.0.0.1'); await new Promise((r) => setTimeout(r, 100)); say('opened')",
  ),
  program(
    "process-worker",
    "const { Worker } = require('node:worker_threads'); await new Promise((r, f) => { const w = new Worker('require(\"node:fs\").writeFileSync(' + JSON.stringify(target.fresh) + ', \"mine\")', { eval: true, execArgv: [], env: {} }); w.on('exit', r); w.on('error', f) })",
  ),
  program(
    "process-hooks",
    "require('node:module').registerHooks({ load: () => ({ format: 'commonjs', source: 'HARM', shortCircuit: true }) }); say(require(target.file))",
  ),
  program(
    "process-setuid",
    "process.setuid(12345); say('uid'); process.setuid(0); fs.writeFileSync(target.fresh, 'mine')",
  ),
  program(
    "process-environment",
    "say(JSON.stringify(process.env)); say(fs.readFileSync(`/proc/${target.parent}/environ`, 'utf8'))",
  ),
  program(
    "process-memory",
    "const fd = fs.openSync(`/proc/${target.parent}/mem`, 'r'); say('HARM')",
  ),
  program(
    "process-proc",
    "for (const n of fs.readdirSync('/proc')) if (n === String(target.parent)) say('HARM')",
  ),
  program(
    "process-descriptors",
    "for (let fd = 3; fd < 64; fd++) { try { const s = fs.fstatSync(fd); if (s.isFile() || s.isDirectory()) say('HARM: descriptor ' + fd) } catch {} }",
  ),
  program("process-device", "say(fs.readFileSync('/dev/kmsg')); say('HARM')"),
  program("process-sysctl", "fs.writeFileSync('/proc/sys/kernel/hostname', 'HARM'); say('HARM')"),
]

/** Calls of the C library that must fail, as `[name on x64, ...arguments]`. */
const calls: Readonly<Record<string, ReadonlyArray<number | string>>> = {
  ptrace: [101, 16, "pid", 0, 0],
  process_vm_readv: [310, "pid", 0, 0, 0, 0, 0],
  unshare: [272, 0x10000000],
  setns: [308, 0, 0],
  mount: [165, 0, 0, 0, 0, 0],
  umount2: [166, "root", 2],
  pivot_root: [155, "root", "root"],
  chroot: [161, "root"],
  socket_inet: [41, 2, 1, 0],
  socket_netlink: [41, 16, 3, 0],
  socket_unix: [41, 1, 1, 0],
  socket_packet: [41, 17, 3, 0],
  bpf: [321, 0, 0, 0],
  perf_event_open: [298, 0, 0, 0, 0, 0],
  keyctl: [250, 0, -3, 1],
  add_key: [248, 0, 0, 0, 0, -3],
  userfaultfd: [323, 1],
  io_uring_setup: [425, 8, 0],
  open_by_handle_at: [304, 0, 0, 0],
  fork: [57],
  vfork: [58],
  clone_process: [56, 17, 0, 0, 0, 0],
  clone_namespace: [56, 0x10000011, 0, 0, 0, 0],
  clone3: [435, 0, 88],
  kill: [62, "pid", 9],
  tkill: [200, "pid", 9],
  pidfd_open: [434, "pid", 0],
  leash: [157, 1, 0],
  dumpable_other: [157, 4, 1],
  capabilities: [126, 0, 0],
  personality: [135, 0x0008],
  iopl: [172, 3],
  init_module: [175, 0, 0, 0],
  kexec: [246, 0, 0, 0, 0],
  settimeofday: [164, 0, 0],
  sethostname: [170, "root", 1],
  swapon: [167, "root", 0],
  syslog: [103, 3, 0, 0],
  acct: [163, 0],
  quotactl: [179, 0, 0, 0, 0],
  mknod: [133, "root", 0, 0],
  memfd_create: [319, "root", 0],
  shmget: [29, 0, 4096, 0o1600],
  msgget: [68, 0, 0o1600],
  x32_open: [0x40000002, "file", 0],
}

/** Names of the calls of `callProgram`. */
export const callNames: ReadonlyArray<string> = Object.keys(calls)

/**
 * Calls the system directly, each call in turn, and says of each whether it was refused; for x64
 * alone, whose numbers these are.
 */
export const callProgram: Program = program(
  "calls",
  `const ffi = require('node:ffi'); const keep = []; const me = process.pid
   const text = (t) => { const b = Buffer.from(t + '\\0'); keep.push(b); return ffi.getRawPointer(b) }
   const long = 'int64'; const call = new ffi.DynamicLibrary(null).getFunction('syscall', { return: long, arguments: [long, long, long, long, long, long, long] })
   for (const [name, given] of Object.entries(${JSON.stringify(calls)})) {
     const values = given.map((v) => v === 'pid' ? target.pid : v === 'root' ? text('/') : v === 'file' ? text(target.file) : v)
     while (values.length < 7) values.push(0)
     const result = call(...values.map(BigInt)); if (result === 0n && /fork|clone/.test(name)) { say(name + ' HARM'); process.reallyExit(7) }
     say(name + (result >= 0n ? ' HARM: it returned ' + result : ' refused'))
   }`,
)

/** Programs that use what Node offers. */
export const nodePrograms: ReadonlyArray<Program> = [...files, ...network, ...processes]
