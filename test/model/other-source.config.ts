/** The tests of this folder against a copy of src, `LANE_MODEL_SRC`: for planted bugs, and for trying a fix. */
import { defineConfig } from 'vitest/config'
import { entryPoints, root } from '../../scripts/entry-points.mjs'
import base from '../../vitest.config.js'

const source = process.env['LANE_MODEL_SRC'] ?? `${root}/src`

const quick = process.env['LANE_MODEL_SHRINK'] === '0' ? [`${root}/test/model/no-shrinking.ts`] : []

export default defineConfig({
  ...base,
  root,
  test: { ...base.test, setupFiles: ['test/support/no-silent-faults.ts', 'test/support/replay.ts', ...quick] },
  resolve: {
    alias: [
      ...entryPoints().map((entry) => ({
        find: new RegExp(`^${entry.specifier}$`),
        replacement: `${source}/${entry.source.replace(/^src\//, '')}`,
      })),
      // what tests of single parts import: ../../src/core/heap.js
      { find: /^\.\.\/\.\.\/src\//, replacement: `${source}/` },
    ],
  },
})
