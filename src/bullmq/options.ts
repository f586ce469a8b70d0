/** Options of the engine, checked once; everything behind them works on the checked form. */
import type { Cluster, Redis, RedisOptions } from 'ioredis'
import { type Clock, configInvalid, type EngineRole, type Random, systemClock, systemRandom } from '../core/index.js'

/** Where the server is. */
type Connection = string | RedisOptions | Redis | Cluster

/** A Postgres server: a URL, or what `pg` calls a client's configuration (host, port, user, password, database, ssl). */
export type BullMQPostgres = { readonly postgres: string | Readonly<Record<string, unknown>> }

/** The same, checked. `schema`: that of the namespace. */
export type PostgresSettings = { readonly schema: string; readonly client: Readonly<Record<string, unknown>> }

/** How long settled commands are kept. */
export type BullMQRetention = {
  /** Most of each lane that are kept, completed and failed each. Default 10,000. */
  readonly count?: number | undefined
  /** Longest time, in milliseconds. Default 7 days. */
  readonly ageMs?: number | undefined
}

/** Options of `BullMQEngine`. */
export type BullMQEngineOptions = {
  /**
   * A URL (`redis://…`), options of ioredis, or a client of ioredis (of a cluster, too), which is duplicated and never
   * closed. Experimental: `postgres://…`, or `{ postgres: … }` with a URL or the options of `pg`.
   */
  readonly connection: Connection | BullMQPostgres
  /** Names the shared queue: every process with the same one shares its lanes. On Postgres it is the name of a schema. */
  readonly namespace: string
  /** What this process does. Default 'both'. */
  readonly role?: EngineRole | undefined
  /** How long a command is kept for a worker that is not heard of, in milliseconds. Default 10,000; at least 100. */
  readonly leaseMs?: number | undefined
  /** Whether limits of lanes that others have given are overwritten. Default false: they are `CONFLICT`. */
  readonly reconfigure?: boolean | undefined
  readonly retention?: BullMQRetention | undefined
  /** Longest wait for the server at the start, in milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number | undefined
  /** Longest wait for an answer while the server is away, in milliseconds. Default 10,000. */
  readonly offlineTimeoutMs?: number | undefined
  /**
   * Whether a server is taken that may throw commands away when its memory is full, or a Postgres that does not wait for
   * its disk. Default false.
   */
  readonly allowEviction?: boolean | undefined
  /** Longest payload, result or checkpoint, in bytes of UTF-8 JSON. Default 16 MiB. */
  readonly maxPayloadBytes?: number | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

/** The same, checked and with its defaults. */
export type CheckedOptions = {
  /** Of Redis; '' where it is Postgres. */
  readonly connection: Connection
  readonly postgres: PostgresSettings | undefined
  readonly namespace: string
  readonly role: EngineRole
  readonly leaseMs: number
  readonly reconfigure: boolean
  readonly keepCount: number
  readonly keepAgeSeconds: number
  readonly connectTimeoutMs: number
  readonly offlineTimeoutMs: number
  readonly allowEviction: boolean
  readonly maxPayloadBytes: number
  readonly clock: Clock
  readonly random: Random
}

const DAY_MS = 86_400_000
const WHERE = 'BullMQEngine'
const KNOWN: readonly string[] = [
  'connection',
  'namespace',
  'role',
  'leaseMs',
  'reconfigure',
  'retention',
  'connectTimeoutMs',
  'offlineTimeoutMs',
  'allowEviction',
  'maxPayloadBytes',
  'clock',
  'random',
]

/** Checks the options. `CONFIG_INVALID` names the one that is wrong. */
export function checkedOptions(options: BullMQEngineOptions): CheckedOptions {
  const unknown = Object.keys(options).find((key) => !KNOWN.includes(key))
  if (unknown !== undefined) throw configInvalid(`${WHERE} ${unknown}`, `one of ${KNOWN.join(', ')}`, unknown)
  const { connection, namespace, role = 'both', retention = {} } = options
  if (typeof connection !== 'string' && (typeof connection !== 'object' || connection === null)) {
    throw configInvalid(`${WHERE} connection`, 'a URL, options of ioredis, or a client of ioredis', connection)
  }
  if (typeof namespace !== 'string' || !/^[^\s{}:~]+$/.test(namespace)) {
    throw configInvalid(`${WHERE} namespace`, 'a name without spaces, colons, tildes and braces', namespace)
  }
  if (!['both', 'coordinator', 'worker'].includes(role)) {
    throw configInvalid(`${WHERE} role`, "one of 'both', 'coordinator', 'worker'", role)
  }
  const postgres = postgresOf(connection, namespace)
  return {
    connection: isPostgres(connection) ? '' : connection,
    postgres,
    namespace,
    role,
    leaseMs: atLeast('leaseMs', options.leaseMs ?? 10_000, 100),
    reconfigure: options.reconfigure ?? false,
    keepCount: atLeast('retention.count', retention.count ?? 10_000, 1),
    keepAgeSeconds: Math.ceil(atLeast('retention.ageMs', retention.ageMs ?? 7 * DAY_MS, 1) / 1000),
    connectTimeoutMs: atLeast('connectTimeoutMs', options.connectTimeoutMs ?? 10_000, 1),
    offlineTimeoutMs: atLeast('offlineTimeoutMs', options.offlineTimeoutMs ?? 10_000, 1),
    allowEviction: options.allowEviction ?? false,
    maxPayloadBytes: atLeast('maxPayloadBytes', options.maxPayloadBytes ?? 16 * 1024 * 1024, 1),
    clock: options.clock ?? systemClock,
    random: options.random ?? systemRandom,
  }
}

const POSTGRES_URL = /^postgres(ql)?:\/\//

const isPostgres = (connection: Connection | BullMQPostgres): connection is BullMQPostgres =>
  typeof connection === 'object' && 'postgres' in connection

/** Where the server is Postgres. A namespace is a schema there, and part of the names of channels, which are short. */
function postgresOf(connection: Connection | BullMQPostgres, namespace: string): PostgresSettings | undefined {
  const isUrl = typeof connection === 'string' && POSTGRES_URL.test(connection)
  if (!isUrl && !isPostgres(connection)) return undefined
  const given: unknown = isUrl ? connection : (connection as BullMQPostgres).postgres
  const isWrong = typeof given === 'string' ? !POSTGRES_URL.test(given) : typeof given !== 'object' || given === null
  if (isWrong) throw configInvalid(`${WHERE} connection.postgres`, 'a URL (postgres://…) or options of pg', given)
  if (!/^(?!pg_)[A-Za-z_][A-Za-z0-9_]{0,39}$/.test(namespace)) {
    throw configInvalid(`${WHERE} namespace`, 'on Postgres, letters, digits and underscores, at most 40', namespace)
  }
  const client = typeof given === 'string' ? { connectionString: given } : (given as Record<string, unknown>)
  return { schema: namespace, client }
}

function atLeast(name: string, value: number, least: number): number {
  if (Number.isInteger(value) && value >= least) return value
  throw configInvalid(`${WHERE} ${name}`, `a whole number, at least ${least}`, value)
}
