// SPDX-License-Identifier: Apache-2.0

import { type DescField, type DescMessage, type Message, ScalarType } from '@bufbuild/protobuf';
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { hidden } from './text';

// The same JSON as `skep observe -o json`: snake_case names in the order of
// the schema, numbers as numbers, RFC 3339 times, empty fields left out but those whose 0 says something.

export type Value = string | number | bigint | boolean | Value[] | Fields;
export type Fields = Map<string, Value>;

/** A message as its set fields, in the order of their numbers. */
export function fields(schema: DescMessage, message: Message): Fields {
  return ofMessage(reflect(schema, message));
}

function ofMessage(m: ReflectMessage): Fields {
  const out: Fields = new Map();
  for (const f of m.fields) {
    if (m.isSet(f) || zeroMeans(m, f)) out.set(f.name, ofField(m, f));
  }
  return out;
}

/** Fields that are written also where they are 0, because 0 says something: root, and a process that ended well. */
function zeroMeans(m: ReflectMessage, f: DescField): boolean {
  switch (m.desc.typeName) {
    case 'skep.v1.Credentials':
      return true;
    case 'skep.v1.Process':
      return f.name === 'uid';
    case 'skep.v1.Exit':
      return f.name === 'code';
  }
  return false;
}

function ofField(m: ReflectMessage, f: DescField): Value {
  switch (f.fieldKind) {
    case 'message':
      return ofSub(m.get(f));
    case 'list':
      return [...m.get(f)].map((v) => (f.listKind === 'message' ? ofSub(v as ReflectMessage) : (v as Value)));
    case 'map':
      return new Map([...m.get(f)].map(([k, v]) => [String(k), v as Value] as const).sort(([a], [b]) => (a < b ? -1 : 1)));
    case 'scalar':
      return f.scalar === ScalarType.BYTES ? btoa(String.fromCharCode(...(m.get(f) as Uint8Array))) : (m.get(f) as Value);
    default:
      return m.get(f) as Value;
  }
}

function ofSub(m: ReflectMessage): Value {
  return m.desc.typeName === 'google.protobuf.Timestamp' ? rfc3339(m.message as Timestamp) : ofMessage(m);
}

export function rfc3339(t: Timestamp): string {
  const whole = new Date(Number(t.seconds) * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(t.nanos).padStart(9, '0')}Z`;
}

/** JSON text, indented. Numbers beyond 2^53 keep all their digits. */
export function stringify(v: Value, indent = ''): string {
  const deeper = indent + '  ';
  if (v instanceof Map) {
    const rows = [...v].map(([k, x]) => `${deeper}${quote(k)}: ${stringify(x, deeper)}`);
    return rows.length ? `{\n${rows.join(',\n')}\n${indent}}` : '{}';
  }
  if (Array.isArray(v)) return v.length ? `[\n${v.map((x) => deeper + stringify(x, deeper)).join(',\n')}\n${indent}]` : '[]';
  return typeof v === 'string' ? quote(v) : String(v);
}

/** A JSON string in which nothing can hide: \u escapes for what acts unseen, and for markup. */
function quote(s: string): string {
  return [...JSON.stringify(s)].map((c) => (/[<>&]/.test(c) || hidden(c) ? units(c) : c)).join('');
}

function units(c: string): string {
  return c.split('').map((u) => `\\u${u.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
}
