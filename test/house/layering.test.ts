import { describe, expect, test } from 'vitest'
import { findCycles, findIndexViolations, findLayerViolations, findPolicyNames, layers } from './layers.js'
import { loadProject, projectOf } from './project.js'

const project = loadProject()

describe('the house', () => {
  test('keeps to the layers', () => {
    expect(findLayerViolations(project)).toEqual([])
  })

  test('has no import cycles', () => {
    expect(findCycles(project)).toEqual([])
  })

  test('has one index.ts per folder, with re-exports only', () => {
    expect(findIndexViolations(project)).toEqual([])
  })

  test('names no policy in the scheduler', () => {
    expect(findPolicyNames(project)).toEqual([])
    const planted = projectOf({ 'src/core/scheduler.ts': 'const priority = lane.rateLimit ?? lane.boostBy' })
    expect(findPolicyNames(planted)).toEqual([
      'src/core/scheduler.ts names a policy: rateLimit',
      'src/core/scheduler.ts names a policy: boostBy',
    ])
  })

  test('names only known folders in the table', () => {
    const known = new Set(Object.keys(layers))
    const named = Object.values(layers).flatMap(({ folders, typesFrom = [] }) => [...folders, ...typesFrom])
    expect(named.filter((name) => !known.has(name))).toEqual([])
  })
})

/** A project in which every folder has its index, with one file more. */
function withFile(path: string, text: string): string[] {
  const indexes = ['core', 'policy', 'sdk', 'testing', 'observe', 'storage', 'client'].map(
    (folder) => `src/${folder}/index.ts`,
  )
  const files = ['src/index.ts', ...indexes, 'src/core/clock.ts', 'src/core/errors.ts', 'src/policy/retry.ts']
  return findLayerViolations(projectOf({ ...Object.fromEntries(files.map((file) => [file, ''])), [path]: text }))
}

describe('a planted import is found:', () => {
  test.each([
    ['core imports a package', 'src/core/lane.ts', `import { z } from 'zod'`, 'no package'],
    [
      'core imports the type of a package',
      'src/core/lane.ts',
      `import type { A } from '@standard-schema/spec'`,
      'no package',
    ],
    ['core imports from node', 'src/core/lane.ts', `import { cpus } from 'node:os'`, 'runs everywhere'],
    ['core imports from node without the prefix', 'src/core/lane.ts', `import { cpus } from 'os'`, 'no package'],
    ['core imports a package dynamically', 'src/core/lane.ts', `const z = await import('zod')`, 'no package'],
    ['core requires a package', 'src/core/lane.ts', `const z = require('zod')`, 'no package'],
    ['core re-exports a package', 'src/core/lane.ts', `export * from 'zod'`, 'no package'],
    ['core names a package in a type', 'src/core/lane.ts', `type Z = import('zod').ZodType`, 'no package'],
    ['core imports sdk', 'src/core/lane.ts', `import { Lane } from '../sdk/index.js'`, 'not sdk'],
    ['core imports the public index', 'src/core/lane.ts', `import { Lane } from '../index.js'`, 'not (index)'],
    ['policy imports core', 'src/policy/fair.ts', `import { Lane } from '../core/index.js'`, 'not core'],
    ['policy imports a clock', 'src/policy/fair.ts', `import { now } from '../core/clock.js'`, 'not core'],
    ['policy imports from node', 'src/policy/fair.ts', `import 'node:timers'`, 'runs everywhere'],
    ['sdk imports observe', 'src/sdk/lane.ts', `import { x } from '../observe/index.js'`, 'not observe'],
    ['a seam imports another', 'src/storage/open.ts', `import { x } from '../observe/index.js'`, 'not observe'],
    [
      'a folder is reached past its index',
      'src/sdk/lane.ts',
      `import { now } from '../core/clock.js'`,
      'src/core/index.ts',
    ],
    [
      'the public index reaches past an index',
      'src/index.ts',
      `export * from './policy/retry.js'`,
      'src/policy/index.ts',
    ],
    [
      'a subpath takes values where types are allowed',
      'src/client/http.ts',
      `import { x } from '../core/index.js'`,
      'import type',
    ],
    ['src imports a test', 'src/core/lane.ts', `import { x } from '../../test/x.js'`, 'outside src'],
    ['a folder is in no row', 'src/extra/thing.ts', '', 'no row'],
  ])('%s', (_what, path, text, message) => {
    expect(withFile(path, text)).toEqual([expect.stringContaining(message)])
  })
})

describe('a legal import is left alone:', () => {
  test.each([
    ['core imports policy', 'src/core/lane.ts', `import { RetryPolicy } from '../policy/index.js'`],
    ['policy imports the errors', 'src/policy/fair.ts', `import { LaneError } from '../core/errors.js'`],
    ['core imports itself', 'src/core/lane.ts', `import { now } from './clock.js'`],
    ['a nested file imports its parent folder', 'src/core/events/stream.ts', `import { now } from '../clock.js'`],
    ['storage imports its peer and node', 'src/storage/open.ts', `import db from 'better-sqlite3'\nimport 'node:fs'`],
    ['client imports types of core', 'src/client/http.ts', `import type { X } from '../core/index.js'`],
  ])('%s', (_what, path, text) => {
    expect(withFile(path, text)).toEqual([])
  })
})

describe('cycles', () => {
  const cycle = (first: string): string[] =>
    findCycles(
      projectOf({ 'src/a.ts': first, 'src/b.ts': `export * from './c.js'`, 'src/c.ts': `import { a } from './a.js'` }),
    )

  test('a cycle through three files is found once', () => {
    expect(cycle(`import { b } from './b.js'`)).toEqual(['import cycle: src/a.ts -> src/b.ts -> src/c.ts -> src/a.ts'])
  })

  test('an import whose every name is a type still counts, because it stays in the JavaScript', () => {
    expect(cycle(`import { type B } from './b.js'`)).toHaveLength(1)
  })

  test('a type-only import closes no cycle', () => {
    expect(cycle(`import type { B } from './b.js'`)).toEqual([])
  })
})

describe('indexes', () => {
  test('a folder without an index is found', () => {
    expect(findIndexViolations(projectOf({ 'src/core/clock.ts': '' }))).toEqual(['src/core has no index.ts'])
  })

  test('code in an index is found', () => {
    const text = `export { now } from './clock.js'\nexport type { T } from './clock.js'\nexport const x = 1\n`
    expect(findIndexViolations(projectOf({ 'src/core/index.ts': text }))).toEqual([
      expect.stringContaining('index.ts:3'),
    ])
  })
})
