/** A registry of prom-client that tells what a queue counts, times and holds. */
import type * as PromClient from 'prom-client'
import type { Registry } from 'prom-client'
import { checkBoolean, checkObject, configInvalid, type QueueManager, refuseUnknown } from '../../core/index.js'
import { requirePeer } from '../../peer/index.js'
import { EXPORTED_PREFIX, SECONDS_BUCKETS } from '../index.js'
import { laneRegistry } from './lane-registry.js'
import { laneSeries } from './lane-series.js'
import { pulledMetric } from './pulled-metric.js'

/** Options of `createRegistry`. */
export type PrometheusOptions = {
  /** Stands before every name. Default `a3s_lane_`. */
  readonly prefix?: string | undefined
  /** Upper bounds of the buckets of durations, in seconds, rising; `+Inf` is added. Default fifteen from 0.001 to 300. */
  readonly buckets?: readonly number[] | undefined
  /** Where the metrics are added. Default a registry of their own. */
  readonly registry?: Registry | undefined
  /** Whether Node's own metrics (memory, event loop, garbage collection) are added. Default false. */
  readonly defaultMetrics?: boolean | undefined
}

const PREFIX = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

/**
 * Everything about a queue for Prometheus, made at each scrape: `await registry.metrics()`. Nothing is done per command
 * beyond what `queue.metrics` counts; a queue without metrics in memory is watched from now on.
 *
 * `CONFIG_INVALID` names the option that is wrong, the package `prom-client` when it is missing, or a name that the
 * registry has already: two queues in one registry need different prefixes.
 */
export function createRegistry(
  queue: Pick<QueueManager, 'metrics' | 'observe' | 'stats'>,
  options: PrometheusOptions = {},
): Registry {
  const { prefix, buckets, registry: given, defaultMetrics } = checked(options)
  const client = requirePeer<typeof PromClient>('prom-client', '@a3s-lab/lane/prometheus')
  const registry = given ?? laneRegistry(client)
  const metrics = laneSeries(queue, prefix, buckets).map(pulledMetric)
  for (const { name } of metrics as unknown as readonly { readonly name: string }[]) {
    if (registry.getSingleMetric(name) === undefined) continue
    throw configInvalid('createRegistry prefix', 'one that no other queue in the registry has', prefix)
  }
  for (const metric of metrics) registry.registerMetric(metric)
  if (defaultMetrics) client.collectDefaultMetrics({ register: registry })
  return registry
}

function checked(options: PrometheusOptions) {
  checkObject('createRegistry options', options)
  refuseUnknown('createRegistry', options, ['prefix', 'buckets', 'registry', 'defaultMetrics'])
  const { prefix = EXPORTED_PREFIX, buckets = SECONDS_BUCKETS, registry, defaultMetrics = false } = options
  if (typeof prefix !== 'string' || (prefix !== '' && !PREFIX.test(prefix))) {
    throw configInvalid('createRegistry prefix', 'letters, digits, _ and :, no digit first', prefix)
  }
  if (!areBounds(buckets)) throw configInvalid('createRegistry buckets', 'rising numbers of seconds, above 0', buckets)
  if (registry !== undefined && typeof registry.registerMetric !== 'function') {
    throw configInvalid('createRegistry registry', 'a Registry of prom-client', registry)
  }
  checkBoolean('createRegistry defaultMetrics', defaultMetrics)
  return { prefix, buckets: [...buckets], registry, defaultMetrics }
}

/** Numbers above 0, each above the one before it. */
function areBounds(buckets: readonly number[]): boolean {
  if (!Array.isArray(buckets) || buckets.length === 0) return false
  const bounds: readonly unknown[] = buckets
  return bounds.every((bound, index) => Number.isFinite(bound) && (bound as number) > Number(bounds[index - 1] ?? 0))
}
