/**
 * Assembles the seccomp filters of a box: BPF programs that let through the calls of `Syscalls`
 * and refuse all others. The outer filter is put up by bubblewrap before Node is loaded; the seal
 * by the runner itself, when Node is up and before it sees a service.
 */
import { allowed, type Processor, special } from "./Syscalls.ts"

const load = 0x20
const equal = 0x15
const atLeast = 0x35
const anyBit = 0x45
const give = 0x06

const allow = 0x7fff0000
const kill = 0x80000000
const refuse = (errno: number) => 0x00050000 | errno
const notPermitted = refuse(1)
const noSuchCall = refuse(38)

const numberOffset = 0
const archOffset = 4
const argument = (index: number) => 16 + 8 * index

const auditArch: Readonly<Record<Processor, number>> = { x64: 0xc000003e, arm64: 0xc00000b7 }

/** Numbers from here on are another ABI of the same processor. */
const x32 = 0x40000000
const cloneThread = 0x00010000

/** FIONBIO, FIOCLEX and, while Node looks at its descriptors, TCGETS and TIOCGWINSZ. */
const ioctls = { sealed: [0x5421, 0x5451], starting: [0x5421, 0x5451, 0x5401, 0x5413] }
/** PR_SET_NAME and PR_SET_VMA; while the inner walls go up also PR_SET_NO_NEW_PRIVS. */
const prctls = { sealed: [15, 0x53564d41], starting: [15, 0x53564d41, 38] }

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number]

const when = (call: number, body: ReadonlyArray<Instruction>): ReadonlyArray<Instruction> => [
  [equal, 0, body.length, call],
  ...body,
]

const allowIfArgument = (
  call: number,
  index: number,
  values: ReadonlyArray<number>,
): ReadonlyArray<Instruction> =>
  when(call, [
    [load, 0, 0, argument(index)],
    ...values.flatMap((value): ReadonlyArray<Instruction> => [
      [equal, 0, 1, value],
      [give, 0, 0, allow],
    ]),
    [give, 0, 0, notPermitted],
  ])

const threadsOnly = (call: number): ReadonlyArray<Instruction> =>
  when(call, [
    [load, 0, 0, argument(0)],
    [anyBit, 0, 1, cloneThread],
    [give, 0, 0, allow],
    [give, 0, 0, notPermitted],
  ])

/** What a filter is to let through. */
export interface Filter {
  readonly processor: Processor
  /**
   * The process the filter is for, once Node is up: then nothing can be opened, executed or
   * created any more, not even a thread. `undefined` while Node is still to be loaded.
   */
  readonly sealedPid: number | undefined
}

const instructions = ({ processor, sealedPid }: Filter): ReadonlyArray<Instruction> => {
  const sealed = sealedPid !== undefined
  const stage = sealed ? "sealed" : "starting"
  const numbers = {
    ioctl: special.ioctl[processor]!,
    clone: special.clone[processor]!,
    prctl: special.prctl[processor]!,
    tgkill: special.tgkill[processor]!,
    clone3: special.clone3[processor]!,
  }
  return [
    [load, 0, 0, archOffset],
    [equal, 1, 0, auditArch[processor]],
    [give, 0, 0, kill],
    [load, 0, 0, numberOffset],
    ...(processor === "x64"
      ? ([
          [atLeast, 0, 1, x32],
          [give, 0, 0, noSuchCall],
        ] as const)
      : []),
    ...allowed(processor, sealed).flatMap((call) => when(call, [[give, 0, 0, allow]])),
    ...allowIfArgument(numbers.ioctl, 1, ioctls[stage]),
    ...allowIfArgument(numbers.prctl, 0, prctls[stage]),
    // Its own threads alone: an abort is a signal to oneself.
    ...(sealed
      ? allowIfArgument(numbers.tgkill, 0, [sealedPid])
      : when(numbers.tgkill, [[give, 0, 0, allow]])),
    ...(sealed ? [] : threadsOnly(numbers.clone)),
    // The C library then falls back to `clone`, whose flags a filter can see.
    ...when(numbers.clone3, [[give, 0, 0, noSuchCall]]),
    [give, 0, 0, notPermitted],
  ]
}

/** The filter as the kernel takes it: an array of `struct sock_filter`. */
export const assemble = (filter: Filter): Buffer => {
  const program = instructions(filter)
  const bytes = Buffer.alloc(program.length * 8)
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8)
    bytes.writeUInt8(ifTrue, index * 8 + 2)
    bytes.writeUInt8(ifFalse, index * 8 + 3)
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4)
  }
  return bytes
}
