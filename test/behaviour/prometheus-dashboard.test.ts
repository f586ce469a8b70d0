/** The dashboard for Grafana shows what a queue exports, and nothing that it does not. */
import { readFileSync } from 'node:fs'
import { createRegistry } from '@a3s-lab/lane/prometheus'
import { expect, test } from 'vitest'
import { root } from '../../scripts/entry-points.mjs'
import { parseScrape } from '../support/prometheus-text.js'
import { setup } from '../support/setup.js'

type Target = { readonly expr: string; readonly datasource: unknown }
type Position = { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
type Panel = {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: unknown
  readonly gridPos: Position
  readonly targets?: readonly Target[]
}
type Dashboard = {
  readonly schemaVersion: number
  readonly panels: readonly Panel[]
  readonly __inputs: readonly { readonly name: string; readonly pluginId: string }[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition: string }[] }
}

const dashboard = JSON.parse(readFileSync(`${root}/docs/grafana-dashboard.json`, 'utf8')) as Dashboard
const { panels } = dashboard
const shown = panels.filter(({ type }) => type !== 'row')
const queries = shown.flatMap(({ targets = [] }) => targets)
const expressions = [
  ...queries.map(({ expr }) => expr),
  ...dashboard.templating.list.map(({ definition }) => definition),
]
const DATASOURCE = { type: 'prometheus', uid: '$'.concat('{DS_PROMETHEUS}') }

test('it asks for a Prometheus when it is imported, and every query goes there', () => {
  expect(dashboard.__inputs).toMatchObject([{ name: 'DS_PROMETHEUS', pluginId: 'prometheus' }])
  expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(39)
  for (const { datasource } of [...shown, ...queries]) expect(datasource).toEqual(DATASOURCE)
})

test('its panels have ids of their own, a place of their own, a title and a description', () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  const taken = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  )
  expect(new Set(taken).size).toBe(taken.length)
  expect(shown.filter(({ title, description = '' }) => title === '' || description === '')).toEqual([])
})

test('every metric that it shows is in a scrape', async () => {
  await using t = await setup({ work: {} })
  const scrape = parseScrape(await createRegistry(t.queue).metrics())
  const series = new Set([...scrape.values()].flatMap(({ samples }) => samples.map(({ name }) => name)))
  const named = expressions.flatMap((expression) => expression.match(/\ba3s_lane_\w+/g) ?? [])
  expect(named.length).toBeGreaterThanOrEqual(expressions.length)
  expect(named.filter((name) => !series.has(name))).toEqual([])
})

test('what it leaves out is little, and known', async () => {
  await using t = await setup({ work: {} })
  const families = [...parseScrape(await createRegistry(t.queue).metrics()).keys()]
  const text = expressions.join(' ')
  expect(families.filter((name) => !text.includes(name))).toEqual([
    'a3s_lane_commands_started_total',
    'a3s_lane_commands_deduplicated_total',
  ])
})

test('the lanes can be chosen', () => {
  expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['lane'])
  const overAllLanes = queries.filter(({ expr }) => !expr.includes('{lane=~"$lane"}'))
  expect(overAllLanes.map(({ expr }) => expr)).toEqual(['sum(a3s_lane_dead_letters)'])
})
