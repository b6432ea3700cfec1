// SPDX-License-Identifier: Apache-2.0

// The bits of a capability mask in order, from capabilities(7).
const names = [
  'CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL', 'SETGID', 'SETUID', 'SETPCAP',
  'LINUX_IMMUTABLE', 'NET_BIND_SERVICE', 'NET_BROADCAST', 'NET_ADMIN', 'NET_RAW', 'IPC_LOCK', 'IPC_OWNER',
  'SYS_MODULE', 'SYS_RAWIO', 'SYS_CHROOT', 'SYS_PTRACE', 'SYS_PACCT', 'SYS_ADMIN', 'SYS_BOOT', 'SYS_NICE',
  'SYS_RESOURCE', 'SYS_TIME', 'SYS_TTY_CONFIG', 'MKNOD', 'LEASE', 'AUDIT_WRITE', 'AUDIT_CONTROL', 'SETFCAP',
  'MAC_OVERRIDE', 'MAC_ADMIN', 'SYSLOG', 'WAKE_ALARM', 'BLOCK_SUSPEND', 'AUDIT_READ', 'PERFMON', 'BPF',
  'CHECKPOINT_RESTORE',
];

// Those that come near to root by themselves; the page makes them stand out.
const strong = new Set(['SYS_ADMIN', 'SYS_MODULE', 'SYS_PTRACE', 'SYS_RAWIO', 'DAC_READ_SEARCH', 'BPF', 'SETUID', 'SETFCAP', 'MAC_ADMIN']);

export interface Caps {
  names: { name: string; strong: boolean }[];
  /** Those that this page knows and the mask lacks. */
  missing: string[];
}

/** Decodes a hexadecimal mask; a bit without a name becomes CAP_<number>. */
export function decode(mask: string): Caps {
  const bits = /^[0-9a-f]{1,16}$/i.test(mask) ? BigInt('0x' + mask) : 0n;
  const out: Caps = { names: [], missing: [] };
  for (let i = 0; i < 64; i++) {
    const name = names[i];
    if ((bits >> BigInt(i)) & 1n) out.names.push({ name: name ?? `CAP_${i}`, strong: !!name && strong.has(name) });
    else if (name) out.missing.push(name);
  }
  return out;
}
