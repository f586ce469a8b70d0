/** The optional peers of the subpaths for OpenTelemetry and Prometheus, where they are not installed. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import { bundle, outputOf } from '../support/bundled.js'

test('where a peer is not installed, the first use says which one and how to get it', async () => {
  const folder = mkdtempSync(`${tmpdir()}/lane-peers-`)
  try {
    await bundle(new URL('../support/without-peers.ts', import.meta.url), `${folder}/program.mjs`)
    const missing = (subpath: string, name: string): string =>
      `CONFIG_INVALID: @a3s-lab/lane/${subpath} needs the package ${name}: npm install ${name}`
    expect(JSON.parse(await outputOf(`${folder}/program.mjs`))).toEqual([
      missing('otel', '@opentelemetry/api'),
      missing('otel', '@opentelemetry/api'),
      missing('prometheus', 'prom-client'),
      missing('workers', 'piscina'),
      missing('bullmq', 'bullmq'),
    ])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 20_000)
