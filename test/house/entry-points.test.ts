/** A subpath is named in a few places that cannot read the export map; here they are held to it. */
import { existsSync } from 'node:fs'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { entryPoints, root } from '../../scripts/entry-points.mjs'

const config = (name: string): Record<string, unknown> =>
  ts.readConfigFile(`${root}/${name}`, (path) => ts.sys.readFile(path)).config as Record<string, unknown>

test('every subpath has its source', () => {
  expect(entryPoints().filter(({ source }) => !existsSync(`${root}/${source}`))).toEqual([])
})

test('tsconfig.json resolves every subpath to its source', () => {
  const { paths } = config('tsconfig.json')['compilerOptions'] as { paths: unknown }
  expect(paths).toEqual(Object.fromEntries(entryPoints().map(({ specifier, source }) => [specifier, [`./${source}`]])))
})

test('the search for unused code starts at every subpath', () => {
  expect(config('knip.jsonc')['entry']).toEqual(expect.arrayContaining(entryPoints().map(({ source }) => source)))
})
