import { defineConfig } from 'vitest/config'
import { entryPoints, root } from './scripts/entry-points.mjs'

export default defineConfig({
  resolve: {
    // Tests and documentation import the package by its name and get the source: nothing has to be built first.
    alias: entryPoints().map(({ specifier, source }) => ({
      find: new RegExp(`^${specifier}$`),
      replacement: `${root}/${source}`,
    })),
  },
  test: {
    include: ['test/**/*.test.ts'],
    // every core: many tests wait for processes of their own
    maxWorkers: '100%',
    setupFiles: ['test/support/no-silent-faults.ts', 'test/support/replay.ts'],
    reporters: ['default', './test/support/count-reporter.ts'],
    // A promise that never settles should not cost five seconds per test: nothing in the fast suite waits that long.
    testTimeout: 5000,
    expect: { requireAssertions: true },
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      reporter: ['text', 'html', 'json-summary'],
      thresholds: {
        'src/core/**': { branches: 100 },
        'src/policy/**': { branches: 100 },
      },
    },
  },
})
